// The field options that Grafana registers itself: which there are, where they apply, and what they are unless set.
const { FieldConfigOptionsRegistry, identityOverrideProcessor } = require('@grafana/data');

const STANDARD = [
  'unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'color', 'thresholds', 'mappings', 'links', 'filterable',
];
const CUSTOM = [
  'axisPlacement', 'axisLabel', 'axisSoftMin', 'axisSoftMax', 'fillOpacity', 'lineWidth', 'lineStyle', 'stacking',
  'drawStyle', 'cellOptions', 'hideFrom', 'scaleDistribution', 'showPoints', 'spanNulls', 'width', 'align',
];

const option = (id, path, isCustom) => ({
  id: isCustom ? `custom.${id}` : id,
  path,
  name: id,
  isCustom,
  editor: () => null,
  override: () => null,
  process: identityOverrideProcessor,
  shouldApply: () => true,
  settings: {},
});

export const registry = new FieldConfigOptionsRegistry();
STANDARD.forEach((id) => registry.register(option(id, id, false)));
CUSTOM.forEach((id) => registry.register(option(id, id, true)));

export const DRAWN = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', pointSize: 5,
  showPoints: 'never', spanNulls: false, barAlignment: 0, barWidthFactor: 0.9, axisPlacement: 'auto', axisLabel: '',
  axisColorMode: 'text', axisBorderShow: false, axisGridShow: undefined, scaleDistribution: { type: 'linear' },
  stacking: { mode: 'none', group: 'A' }, hideFrom: { tooltip: false, viz: false, legend: false },
  thresholdsStyle: { mode: 'off' },
};
