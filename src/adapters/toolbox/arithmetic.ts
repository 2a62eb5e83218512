import { parse } from 'mathjs/number';
import { AppError } from '../../core/errors.ts';

/**
 * Arithmetic on numbers and truth values. The library only parses; what a parsed node means is decided by the tables
 * here, so nothing else can be reached: no units, texts, matrices, ranges, assignments, functions of one's own, or
 * members of objects. Every operation takes constant time, so the length of the expression bounds the work.
 */

export type Scalar = number | boolean;

/** The parts of the parser's nodes that are understood here; any other type is refused. */
type Node =
  | { type: 'ConstantNode'; value: unknown }
  | { type: 'ParenthesisNode'; content: Node }
  | { type: 'SymbolNode'; name: string }
  | { type: 'ConditionalNode'; condition: Node; trueExpr: Node; falseExpr: Node }
  | { type: 'OperatorNode'; fn: string; op: string; args: Node[] }
  | { type: 'FunctionNode'; fn: { name?: string }; args: Node[] }
  | { type: 'AccessorNode' | 'ArrayNode' | 'AssignmentNode' | 'BlockNode' | 'FunctionAssignmentNode' | 'IndexNode' }
  | { type: 'ObjectNode' | 'RangeNode' | 'RelationalNode' };

export const MAX_EXPRESSION = 1_000;
/** Deepest nesting of parentheses; the parser is recursive. */
const MAX_NESTING = 64;

/** Throws AppError `invalid_expression` (field `expression`) on anything that is not plain arithmetic with a finite value. */
export function evaluate(expression: string, variables: ReadonlyMap<string, number>): Scalar {
  if (expression.length > MAX_EXPRESSION) throw fault(`at most ${MAX_EXPRESSION} characters are taken`);
  if (nesting(expression) > MAX_NESTING) throw fault(`parentheses may be nested at most ${MAX_NESTING} deep`);
  let node: Node;
  try {
    node = parse(expression) as unknown as Node;
  } catch (cause) {
    throw fault(cause instanceof Error ? cause.message : String(cause));
  }
  return scalarOf(node, variables);
}

const OPERATORS: Record<string, (a: number, b: number) => Scalar> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  pow: (a, b) => a ** b,
  mod: (a, b) => ((a % b) + b) % b,
  equal: (a, b) => a === b,
  unequal: (a, b) => a !== b,
  smaller: (a, b) => a < b,
  smallerEq: (a, b) => a <= b,
  larger: (a, b) => a > b,
  largerEq: (a, b) => a >= b,
};

const UNARY: Record<string, (a: number) => number> = {
  unaryMinus: (a) => -a,
  unaryPlus: (a) => a,
  factorial,
};

const LOGIC: Record<string, (a: boolean, b: boolean) => boolean> = {
  and: (a, b) => a && b,
  or: (a, b) => a || b,
  xor: (a, b) => a !== b,
};

type NumberFunction = { least: number; most: number; apply: (...args: number[]) => number };

const one = (apply: (a: number) => number): NumberFunction => ({ least: 1, most: 1, apply });
const two = (apply: (a: number, b: number) => number): NumberFunction => ({ least: 2, most: 2, apply: apply as never });
const many = (apply: (...args: number[]) => number): NumberFunction => ({ least: 1, most: 200, apply });
const sum = (...args: number[]) => args.reduce((total, item) => total + item, 0);

const FUNCTIONS = new Map<string, NumberFunction>([
  ...(
    [
      'abs',
      'ceil',
      'floor',
      'sign',
      'sqrt',
      'cbrt',
      'exp',
      'expm1',
      'log10',
      'log2',
      'log1p',
      'sin',
      'cos',
      'tan',
      'asin',
      'acos',
      'atan',
      'sinh',
      'cosh',
      'tanh',
      'asinh',
      'acosh',
      'atanh',
    ] as const
  ).map((name): [string, NumberFunction] => [name, one(Math[name])]),
  ['fix', one(Math.trunc)],
  ['square', one((a) => a * a)],
  ['cube', one((a) => a * a * a)],
  ['factorial', one(factorial)],
  [
    'log',
    { least: 1, most: 2, apply: (a = 0, base) => (base === undefined ? Math.log(a) : Math.log(a) / Math.log(base)) },
  ],
  ['round', { least: 1, most: 2, apply: (a = 0, digits = 0) => round(a, digits) }],
  ['pow', two((a, b) => a ** b)],
  ['mod', two((a, b) => ((a % b) + b) % b)],
  ['atan2', two(Math.atan2)],
  ['gcd', two(gcd)],
  ['lcm', two((a, b) => (a === 0 || b === 0 ? 0 : Math.abs(a / gcd(a, b)) * Math.abs(b)))],
  ['hypot', many(Math.hypot)],
  ['min', many(Math.min)],
  ['max', many(Math.max)],
  ['sum', many(sum)],
  ['mean', many((...args) => sum(...args) / args.length)],
  ['median', many(median)],
]);

/** Names of the functions that an expression may call. */
export const FUNCTION_NAMES: readonly string[] = [...FUNCTIONS.keys()];

const CONSTANTS = new Map<string, number>([
  ['pi', Math.PI],
  ['e', Math.E],
  ['tau', 2 * Math.PI],
  ['phi', (1 + Math.sqrt(5)) / 2],
]);

function scalarOf(node: Node, variables: ReadonlyMap<string, number>): Scalar {
  const value = (child: Node) => scalarOf(child, variables);
  switch (node.type) {
    case 'ConstantNode':
      if (typeof node.value === 'boolean') return node.value;
      if (typeof node.value === 'number') return finite(node.value, 'a number');
      throw fault('only numbers, true and false may stand in it');
    case 'ParenthesisNode':
      return value(node.content);
    case 'SymbolNode': {
      const known = variables.get(node.name) ?? CONSTANTS.get(node.name);
      if (known === undefined) throw fault(`"${node.name}" is neither a constant nor one of the variables`);
      return finite(known, node.name);
    }
    case 'ConditionalNode':
      return truth(value(node.condition)) ? value(node.trueExpr) : value(node.falseExpr);
    case 'OperatorNode':
      return operate(node.fn, node.op, node.args.map(value));
    case 'FunctionNode': {
      const name = node.fn.name ?? '';
      const known = FUNCTIONS.get(name);
      if (known === undefined) throw fault(`there is no function "${name}"; there are ${FUNCTION_NAMES.join(', ')}`);
      if (node.args.length < known.least || node.args.length > known.most) {
        throw fault(`"${name}" takes ${known.least} to ${known.most} arguments`);
      }
      return finite(known.apply(...node.args.map((arg) => number(value(arg)))), name);
    }
    default:
      throw fault(`only arithmetic on numbers is possible, not ${node.type.replace('Node', '').toLowerCase()}`);
  }
}

function operate(fn: string, op: string, args: Scalar[]): Scalar {
  const [a, b] = args;
  if (args.length === 1 && a !== undefined) {
    if (fn === 'not') return !truth(a);
    const unary = Object.hasOwn(UNARY, fn) ? UNARY[fn] : undefined;
    if (unary !== undefined) return finite(unary(number(a)), op);
  } else if (args.length === 2 && a !== undefined && b !== undefined) {
    const logic = Object.hasOwn(LOGIC, fn) ? LOGIC[fn] : undefined;
    if (logic !== undefined) return logic(truth(a), truth(b));
    const binary = Object.hasOwn(OPERATORS, fn) ? OPERATORS[fn] : undefined;
    if (binary !== undefined) return finite(binary(number(a), number(b)), op);
  }
  throw fault(`the operator "${op}" is not available`);
}

function finite<T extends Scalar>(value: T, what: string): T {
  if (typeof value === 'boolean' || Number.isFinite(value)) return value;
  throw fault(`"${what}" gives no finite number`);
}

function number(value: Scalar): number {
  if (typeof value === 'number') return value;
  throw fault('a number is expected where true or false stands');
}

function truth(value: Scalar): boolean {
  if (typeof value === 'boolean') return value;
  throw fault('true or false is expected where a number stands');
}

function factorial(n: number): number {
  if (!Number.isInteger(n) || n < 0 || n > 170) throw fault('factorials go from 0 to 170');
  let product = 1;
  for (let i = 2; i <= n; i++) product *= i;
  return product;
}

function round(value: number, digits: number): number {
  if (!Number.isInteger(digits) || digits < 0 || digits > 15) throw fault('round takes 0 to 15 digits');
  return digits === 0 ? Math.sign(value) * Math.round(Math.abs(value)) : Number(value.toFixed(digits));
}

function gcd(a: number, b: number): number {
  if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b)) throw fault('gcd and lcm take integers');
  let [x, y] = [Math.abs(a), Math.abs(b)];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

function median(...args: number[]): number {
  const sorted = args.sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return ((sorted[middle] ?? 0) + (sorted[sorted.length % 2 === 0 ? middle - 1 : middle] ?? 0)) / 2;
}

function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const char of text) {
    if ('([{'.includes(char)) deepest = Math.max(deepest, ++depth);
    else if (')]}'.includes(char)) depth--;
  }
  return deepest;
}

function fault(message: string): AppError {
  return new AppError('invalid_expression', `The expression cannot be calculated: ${message}.`, {
    field: 'expression',
  });
}
