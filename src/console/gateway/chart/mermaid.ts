import type { ChartDefinition, ChartEdge, ChartNode } from '../../chart.ts';

/** A chart as Mermaid text (`stateDiagram-v2`), complete: every state and every transition. */
export function mermaidOf({ name, nodes, edges }: ChartDefinition): string {
  const ids = new Map(nodes.map(({ id }, index) => [id, id === '' ? 'root' : `s${index}`]));
  const of = (id: string) => ids.get(id) ?? 'root';
  const lines = ['stateDiagram-v2', `  %% ${word(name)}`];
  const write = (parent: string, depth: number): void => {
    const pad = '  '.repeat(depth);
    const children = nodes.filter((node) => node.parent === parent);
    const initial = nodes.find(({ id }) => id === parent)?.initial;
    children.forEach((node, index) => {
      if (index > 0 && isParallel(nodes, parent)) lines.push(`${pad}--`);
      lines.push(`${pad}state "${word(labelOf(node))}" as ${of(node.id)}`);
      if (node.id === initial) lines.push(`${pad}[*] --> ${of(node.id)}`);
      if (node.kind === 'final') lines.push(`${pad}${of(node.id)} --> [*]`);
      if (!nodes.some((other) => other.parent === node.id)) return;
      lines.push(`${pad}state ${of(node.id)} {`);
      write(node.id, depth + 1);
      lines.push(`${pad}}`);
    });
  };
  write('', 1);
  for (const edge of edges) {
    // Mermaid has no arrow from the whole chart: those stand as a note.
    if (edge.source === '')
      lines.push(`  %% anywhere: ${word(textOf(edge))} --> ${word(edge.target ?? 'where it is')}`);
    else lines.push(`  ${of(edge.source)} --> ${of(edge.target ?? edge.source)}: ${word(textOf(edge)) || 'always'}`);
  }
  return `${lines.join('\n')}\n`;
}

function isParallel(nodes: ChartNode[], id: string): boolean {
  return nodes.find((node) => node.id === id)?.kind === 'parallel';
}

function labelOf({ name, kind, deep }: ChartNode): string {
  return kind === 'history' ? `${name} (${deep ? 'deep ' : ''}history)` : name;
}

function textOf({ event, guard, actions }: ChartEdge): string {
  return [event, guard === null ? '' : `[${guard}]`, actions.length === 0 ? '' : `/ ${actions.join(', ')}`]
    .filter(Boolean)
    .join(' ');
}

/** Characters that Mermaid reads as its own. */
function word(text: string): string {
  return text.replace(/[\r\n]+/g, ' ').replace(/["#;:{}<>%]/g, '_');
}
