// Prometheus's answers as Grafana's data frames, the way its data source makes them.
const { FieldType, toDataFrame } = require('@grafana/data');

const named = (legend, metric) =>
  legend
    ? legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '').trim()
    : Object.entries(metric).map(([key, value]) => `${key}="${value}"`).join(', ');

const number = (text) => ({ '+Inf': Infinity, '-Inf': -Infinity })[text] ?? Number(text);

function series({ refId, legend, step_s, result }) {
  return result.map(({ metric, values, value }) => {
    const points = values ?? [value];
    const time = {
      name: 'Time',
      type: FieldType.time,
      values: points.map(([at]) => at * 1000),
      config: { interval: step_s * 1000 },
    };
    const shown = { displayNameFromDS: named(legend, metric) };
    const numbers = points.map(([, text]) => number(text));
    const field = { name: 'Value', type: FieldType.number, values: numbers, labels: metric, config: shown };
    return toDataFrame({ refId, fields: [time, field] });
  });
}

function table({ refId, result }, several) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const fields = [
    { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
    ...labels.map((label) => ({
      name: label,
      type: FieldType.string,
      values: result.map(({ metric }) => metric[label] ?? ''),
    })),
    {
      name: several ? `Value #${refId}` : 'Value',
      type: FieldType.number,
      values: result.map(({ value }) => number(value[1])),
    },
  ];
  return result.length ? [toDataFrame({ refId, fields })] : [];
}

export const frames = (answers) =>
  answers.flatMap((answer) => (answer.format === 'table' ? table(answer, answers.length > 1) : series(answer)));
