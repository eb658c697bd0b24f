/**
 * From where a name signed in before. It only decides who waits less when many sign in at once, never whether a password
 * is right, so it need not survive a restart, and one that is forgotten costs a little patience. Bounded: the one seen
 * longest ago goes first.
 */

const placesMax = 10_000;

export interface FamiliarPlaces {
  has(name: string, address: string): boolean;
  add(name: string, address: string): void;
}

export function openFamiliarPlaces(): FamiliarPlaces {
  const places = new Set<string>();
  const keyOf = (name: string, address: string) => `${address} ${name}`;
  return {
    has: (name, address) => places.has(keyOf(name, address)),
    add(name, address) {
      const key = keyOf(name, address);
      places.delete(key);
      places.add(key);
      if (places.size > placesMax) places.delete(places.values().next().value!);
    },
  };
}
