import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AccessChannel } from '../../src/harness/access-channel.ts';
import { parseDevice, placeRecipes } from '../../src/harness/device-text.ts';
import { functionMap, hostFunction } from '../../src/harness/hosted-function.ts';

const TEXT = readFileSync(new URL('../../docs/access-records.md', import.meta.url), 'utf8');
const VECTORS = /```vectors\n([^`]+)```/
  .exec(TEXT)![1]
  .split('\n')
  .filter((line) => /^[<>]/.test(line));

test('the vectors of the documentation', () => {
  const recipes = placeRecipes([parseDevice('nvme:queues=4,size=1M')]);
  const received: Buffer[] = [];
  const channel = new AccessChannel(
    { functions: functionMap(recipes.map(hostFunction)) },
    { send: (bytes) => void received.push(Buffer.from(bytes)), fail: (reason) => expect.unreachable(reason) },
  );
  const actual: string[] = [];
  for (const line of VECTORS) {
    if (line[0] === '>') {
      channel.receive(Buffer.from(line.slice(2).replaceAll(' ', ''), 'hex'));
      actual.push(line);
    } else {
      const length = line.slice(2).replaceAll(' ', '').length / 2;
      const all = Buffer.concat(received.splice(0));
      actual.push(`< ${all.subarray(0, length).toString('hex')}`);
      if (all.length > length) received.push(all.subarray(length));
    }
  }
  expect(received).toEqual([]);
  const withoutSpaces = (line: string) => `${line.slice(0, 2)}${line.slice(2).replaceAll(' ', '')}`;
  expect(actual.map(withoutSpaces)).toEqual(VECTORS.map(withoutSpaces));
});
