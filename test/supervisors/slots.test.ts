import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slots } from '../../supervisors/slots.ts';

interface Named {
  name: number;
}

const change = fc.record({ slot: fc.oneof(fc.nat(40), fc.nat(40_000)), remove: fc.boolean() });

describe('slots', () => {
  it('hold what a map would hold, in ascending order, and leave every earlier value as it was', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
        const map = new Map<number, Named>();
        let slots = Slots.empty<Named>();
        for (const [name, { slot, remove }] of changes.entries()) {
          const before = slots;
          const listed = before.values();
          if (remove) map.delete(slot);
          else map.set(slot, { name });
          slots = remove ? slots.delete(slot) : slots.set(slot, { name });
          expect(before.values()).toEqual(listed);
          expect(slots.get(slot)).toEqual(map.get(slot));
        }
        const expected = [...map].toSorted(([a], [b]) => a - b).map(([, value]) => value);
        expect(slots.values()).toEqual(expected);
        expect(slots.size).toBe(map.size);
        expect(slots.first()).toEqual(expected[0]);
      }),
    );
  });

  it('find nothing under a number that is no slot, and refuse to fill it', () => {
    const slots = Slots.empty<Named>().set(3, { name: 1 });
    for (const slot of [-1, 1.5, Number.NaN, 32, 1e9]) expect(slots.get(slot)).toBeUndefined();
    expect(() => slots.set(-1, { name: 2 })).toThrow('not a slot: -1');
  });
});
