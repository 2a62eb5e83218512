import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calculateTool } from '../../../src/adapters/toolbox/calculate.ts';
import { faultOf, use } from './support.ts';

const tool = calculateTool();
const calculate = (expression: string, variables = {}) => use(tool, { expression, variables });

describe('calculate', () => {
  it.each<[string, number | boolean]>([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['-7 % 3', 2],
    ['5!', 120],
    ['2(3 + 4)', 14],
    ['8%', 0.08],
    ['100 + 5%', 105],
    ['0x10 + 1e3', 1016],
    ['1 < 2 and not (2 == 3)', true],
    ['true xor true', false],
    ['3 > 2 ? 10 : 1/0', 10],
    ['2!!!!', 2],
    ['sqrt(16) + abs(-2)', 6],
    ['round(2.345, 1)', 2.3],
    ['round(-2.5)', -3],
    ['log(8, 2)', 3],
    ['max(1, 5, 3) - min(4, 2)', 3],
    ['median(3, 1, 2)', 2],
    ['median(4, 1, 2, 3)', 2.5],
    ['mean(1, 2, 3, 6)', 3],
    ['gcd(12, 18) + lcm(4, 6)', 18],
    ['mod(-1, 5)', 4],
    ['2 pi / tau', 1],
    ['factorial(3)', 6],
  ])('%s = %s', async (expression, expected) => {
    expect(await calculate(expression)).toEqual({ result: expected });
  });

  it('uses variables, and no name but theirs', async () => {
    expect(await calculate('price * amount', { price: 2.5, amount: 4 })).toEqual({ result: 10 });
    expect(await calculate('constructor + 1', { constructor: 1 })).toEqual({ result: 2 });
    expect(await faultOf(calculate('price', {}))).toBe('invalid_expression expression');
    expect(await faultOf(calculate('x', { x: '1' }))).toBe('invalid_arguments variables.x');
    expect(await faultOf(calculate('1', { 'a b': 1 }))).toMatch(/^invalid_arguments variables/);
    expect(await faultOf(calculate('__proto__', JSON.parse('{"__proto__": 1}')))).toBe('invalid_expression expression');
  });

  it.each([
    // ways to code, to the library's functions, and to its configuration
    'import({pi: 3}, {override: true})',
    'createUnit("foo")',
    'evaluate("1+1")',
    'parse("1+1")',
    'parser()',
    'compile("1")',
    'simplify("x+x")',
    'derivative("x^2", "x")',
    'config({number: "BigNumber"})',
    'help(sin)',
    'typed({})',
    'format(1, 2)',
    'print("x", 1)',
    'random()',
    'cos.constructor("return process")()',
    'cos.constructor',
    '"".constructor.constructor("return 1")()',
    '[].map(f(x) = x)',
    'f(x) = f(x - 1) + f(x - 1)',
    'f(x) = 1; f(1)',
    'a = 1',
    'constructor',
    '__proto__',
    'toString()',
    'hasOwnProperty(1)',
    'constructor(1)',
    '__proto__(1)',
    'valueOf()',
    '{a: 1}.a',
    '{"__proto__": {x: 1}}',
    // matrices, ranges, texts, units
    'zeros(1e9)',
    'ones(1e5, 1e5)',
    'range(1, 1e12)',
    '1:1e12',
    '[1, 2, 3]',
    'map([1], sin)',
    '"text"',
    '5 cm to inch',
    "x'",
    '1 << 40',
    '1 | 2',
    '1 < 2 < 3',
    'null',
    'undefined',
    'i',
    // no finite number
    '1 / 0',
    '0 / 0',
    '1 / (1 / 0)',
    '9 ^ 9 ^ 9 ^ 9 ^ 9',
    '1e999',
    'NaN',
    'Infinity',
    'sqrt(-1)',
    'log(0)',
    '5 % 0',
    '171!',
    '1e15!',
    '(-1)!',
    '0.5!',
    '((((9!)!)!)!)',
    'gcd(0.5, 1)',
    'gcd(1e300, 3)',
    'round(1, 1e9)',
    'round(1, -1)',
    // wrong use
    'true + 1',
    '1 and 2',
    '1 ? 2 : 3',
    'sqrt()',
    'sqrt(1, 2)',
    'sqrt(true)',
    'nosuch(1)',
    '1 +',
    ')',
    '# only a comment',
    ' ',
    '1; 2',
    '1\n2',
  ])('refuses %j', async (expression) => {
    expect(await faultOf(calculate(expression))).toBe('invalid_expression expression');
  });

  it('leaves the language as it was', async () => {
    for (const expression of ['import({sqrt: 1}, {override: true})', 'sqrt = 3', 'sqrt(x) = 3']) {
      await faultOf(calculate(expression));
    }
    expect(await calculate('sqrt(4)')).toEqual({ result: 2 });
    expect('x' in {}).toBe(false);
  });

  it.each([
    ['parentheses', `${'('.repeat(400)}1${')'.repeat(400)}`],
    ['signs', `${'-'.repeat(998)}+`],
    ['factorials', `3${'!'.repeat(998)}`],
    ['powers', `2${'^2'.repeat(499)}`],
    ['brackets', '['.repeat(999)],
    ['braces', '{a:'.repeat(300)],
    ['calls', 'sqrt('.repeat(190)],
    ['conditions', '1?'.repeat(499)],
    ['negations', `${'not '.repeat(249)}1`],
  ])('answers nested %s of the greatest length', async (_, expression) => {
    expect(await faultOf(calculate(expression))).toBe('invalid_expression expression');
  });

  it('refuses an expression that is too long, and calculates the longest', async () => {
    expect(await calculate(`1${'+1'.repeat(499)}`)).toEqual({ result: 500 });
    expect(await faultOf(calculate('1'.repeat(1001)))).toBe('invalid_arguments expression');
    expect(await faultOf(calculate(''))).toBe('invalid_arguments expression');
  });

  it('gives a finite number, a truth value or a typed fault, whatever it is given', async () => {
    const token = fc.constantFrom(
      ...[
        '1',
        '2.5',
        '0',
        '1e300',
        '+',
        '-',
        '*',
        '/',
        '^',
        '%',
        '!',
        '(',
        ')',
        ',',
        '?',
        ':',
        ';',
        '<',
        '==',
        ' and ',
      ],
      ...[
        'not ',
        'sqrt',
        'max',
        'e',
        'x',
        '[',
        ']',
        '{',
        '}',
        '"',
        '.',
        '=',
        'constructor',
        '__proto__',
        '\n',
        "'",
        ' ',
      ],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(token, { minLength: 1, maxLength: 20 }), async (tokens) => {
        const outcome = await calculate(tokens.join('')).catch((error) => error.code);
        if (outcome === 'invalid_expression') return;
        const { result } = outcome as { result: unknown };
        expect(typeof result === 'boolean' || Number.isFinite(result)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('agrees with the language on sums and products of any numbers', async () => {
    const small = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    await fc.assert(
      fc.asyncProperty(small, small, small, async (a, b, c) => {
        expect(await calculate('a + b * c - a / 7', { a, b, c })).toEqual({ result: a + b * c - a / 7 });
      }),
    );
  });
});
