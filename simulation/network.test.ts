import { describe, expect, it } from 'vitest';
import { calmLink, type LinkCondition, Network } from './network.ts';
import { World } from './world.ts';

const nodes = ['n1', 'n2', 'n3'];

function networkOf(condition: Partial<LinkCondition> = {}) {
  const world = new World(5);
  const arrived: string[] = [];
  const deliver = (from: string, to: string, message: number) => arrived.push(`${from}>${to} ${message}`);
  const network = new Network<number>({ world, nodes, deliver });
  network.setEveryCondition({ ...calmLink, ...condition });
  const sendMany = (count: number) => {
    for (let message = 0; message < count; message += 1) network.send('n1', 'n2', message);
    world.runUntil(world.now() + 5_000_000);
  };
  return { world, network, arrived, sendMany };
}

describe('network', () => {
  it('delivers everything once, in order, when it is calm', () => {
    const { arrived, sendMany } = networkOf();
    sendMany(200);
    expect(arrived).toEqual(Array.from({ length: 200 }, (_, message) => `n1>n2 ${message}`));
  });

  it('loses some messages', () => {
    const { arrived, sendMany } = networkOf({ loss: 0.3 });
    sendMany(500);
    expect(arrived.length).toBeGreaterThan(250);
    expect(arrived.length).toBeLessThan(450);
  });

  it('delivers some messages twice', () => {
    const { arrived, sendMany } = networkOf({ duplication: 0.3 });
    sendMany(500);
    expect(new Set(arrived).size).toBe(500);
    expect(arrived.length).toBeGreaterThan(550);
  });

  it('lets some messages overtake others', () => {
    const { arrived, sendMany } = networkOf({ reordering: 0.3, lateMsMax: 50 });
    sendMany(100);
    const inOrder = Array.from({ length: 100 }, (_, message) => `n1>n2 ${message}`);
    expect(arrived).not.toEqual(inOrder);
    expect([...arrived].sort()).toEqual([...inOrder].sort());
  });

  it('cuts one direction and leaves the other', () => {
    const { world, network, arrived } = networkOf();
    network.setCut('n1', 'n2', true);
    network.send('n1', 'n2', 1);
    network.send('n2', 'n1', 2);
    world.runUntil(1_000_000);
    expect(arrived).toEqual(['n2>n1 2']);
  });

  it('loses what is on its way when a link is cut', () => {
    const { world, network, arrived } = networkOf();
    network.send('n1', 'n2', 1);
    network.setCut('n1', 'n2', true);
    world.runUntil(1_000_000);
    expect(arrived).toEqual([]);
  });

  it('parts groups, and mends what is inside one', () => {
    const { world, network, arrived } = networkOf();
    network.setCut('n1', 'n2', true);
    network.partition([['n1', 'n2'], ['n3']]);
    for (const to of ['n2', 'n3']) network.send('n1', to, 1);
    world.runUntil(1_000_000);
    expect(arrived).toEqual(['n1>n2 1']);
  });
});
