// One dashboard, drawn with Grafana's components from answers that are there already.
// They are required, not imported: as modules they take some of their own dependencies for functions that are objects.
const {
  applyFieldOverrides, applyNullInsertThreshold, createTheme, dateTime, FieldColorModeId,
  getDisplayValueAlignmentFactors, getFieldDisplayValues, LoadingState,
  standardTransformers, standardTransformersRegistry, ThemeContext, transformDataFrame,
} = require('@grafana/data');
const {
  BarGauge, BigValue, GlobalStyles, PanelChrome, Table, TimeSeries, VizRepeater,
} = require('@grafana/ui');
import { Component, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { DRAWN, registry } from './fields';
import { frames } from './frames';

const { dashboard, from_s, to_s, answers } = window.PAGE;
const theme = createTheme({ colors: { mode: 'light' } });
const range = { from: dateTime(from_s * 1000), to: dateTime(to_s * 1000), raw: { from: 'x', to: 'y' } };
const [CELL, ROW, GAP, WIDTH] = [1760 / 24, 30, 8, 1760];

standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()].map((transformation) => ({
    id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null,
  }))
);

// JSON has no infinity: Grafana reads the first step of thresholds, which is null there, as the one below all values.
const fromBelow = (_key, value) =>
  Array.isArray(value?.steps)
    ? { ...value, steps: value.steps.map((step) => ({ ...step, value: step.value ?? -Infinity })) }
    : value;

function configured(panel, data) {
  const { defaults, overrides } = JSON.parse(JSON.stringify(panel.fieldConfig), fromBelow);
    const drawn = panel.type === 'timeseries';
  const color = defaults.color ?? { mode: drawn ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds };
  const custom = { ...(drawn ? DRAWN : {}), ...(defaults.custom ?? {}) };
  return applyFieldOverrides({
    data,
    fieldConfig: { defaults: { ...defaults, color, custom }, overrides: overrides ?? [] },
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
}

const display = (panel, data) =>
  getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    data,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });

function Nothing({ panel }) {
  return <div className="nothing">{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
}

// What Grafana's own panel does before it draws: where a step has no value there is a gap, not a line across.
const withGaps = (frame) =>
  applyNullInsertThreshold({ frame, refFieldPseudoMin: range.from.valueOf(), refFieldPseudoMax: range.to.valueOf() });

function Drawn({ panel, data, width, height }) {
  if (!data.length || data.every((frame) => !frame.length)) {
    return <Nothing panel={panel} />;
  }
  if (panel.type === 'timeseries') {
    return (
      <TimeSeries
        frames={data.map(withGaps)} width={width} height={height} timeRange={range} timeZone="utc"
        legend={{ ...panel.options.legend, showLegend: true }}
      />
    );
  }
  if (panel.type === 'table') {
    const sortBy = panel.options.sortBy?.map(({ displayName, desc }) => ({ displayName, desc }));
    const least = panel.fieldConfig.defaults.custom?.minWidth;
    return <Table columnMinWidth={least} data={data[0]} width={width} height={height} initialSortBy={sortBy} />;
  }
  const values = display(panel, data);
  const single = values.length === 1;
  const orientation = panel.type === 'stat' ? 'auto' : 'horizontal';
  return (
    <VizRepeater
      width={width} height={height} orientation={orientation} getValues={() => values} source={data} renderCounter={0}
      itemSpacing={panel.type === 'stat' ? 8 : 4} autoGrid={panel.type === 'stat'} minVizHeight={10} minVizWidth={75}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors }) =>
        panel.type === 'stat' ? (
          <BigValue
            value={value.display} width={width} height={height} theme={theme} count={count}
            text={panel.options.text} colorMode={panel.options.colorMode} graphMode="none" justifyMode={panel.options.justifyMode}
            textMode={single && panel.options.textMode === 'auto' ? 'value' : 'value_and_name'}
          />
        ) : (
          <BarGauge
            value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor?.(value.colIndex)}
            text={panel.options.text} width={width} height={height} orientation="horizontal" theme={theme} lcdCellWidth={12} itemSpacing={4}
            alignmentFactors={alignmentFactors} displayMode={panel.options.displayMode} showUnfilled={panel.options.showUnfilled} valueDisplayMode="text"
          />
        )
      }
    />
  );
}

class Guard extends Component {
  state = {};
  static getDerivedStateFromError = (error) => ({ error });
  render() {
    return this.state.error ? <pre className="failed">{String(this.state.error.stack)}</pre> : this.props.children;
  }
}

function useTransformed(panel) {
  const [data, set] = useState(null);
  useEffect(() => {
    const subscription = transformDataFrame(panel.transformations ?? [], frames(answers[panel.id] ?? [])).subscribe(
      (transformed) => set(configured(panel, transformed))
    );
    return () => subscription.unsubscribe();
  }, [panel]);
  return data;
}

function Panel({ panel }) {
  const data = useTransformed(panel);
  const { x, y, w, h } = panel.gridPos;
  const [width, height] = [w * CELL - GAP, h * (ROW + GAP) - GAP];
  return (
    <div style={{ position: 'absolute', left: x * CELL, top: y * (ROW + GAP), width, height }}>
      <PanelChrome
        title={panel.title} description={panel.description} width={width} height={height}
        loadingState={LoadingState.Done}
      >
        {(innerWidth, innerHeight) => (
          <Guard>{data && <Drawn panel={panel} data={data} width={innerWidth} height={innerHeight} />}</Guard>
        )}
      </PanelChrome>
    </div>
  );
}

function Page() {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * (ROW + GAP);
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div className="page" style={{ position: 'relative', width: WIDTH, height: bottom, margin: 16 }}>
        {dashboard.panels.map((panel) =>
          panel.type === 'row' ? (
            <h2 key={panel.id} style={{ position: 'absolute', top: panel.gridPos.y * (ROW + GAP), margin: 4, fontSize: 16 }}>
              {panel.title}
            </h2>
          ) : (
            <Panel key={panel.id} panel={panel} />
          )
        )}
      </div>
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('root')).render(<Page />);
