import { AccessChannel } from './access-channel.ts';
import type { AccessTarget } from './access-execute.ts';
import type { Conversation, Log } from './socket-server.ts';
import { type PeerHandler, StreamPeer } from './stream-peer.ts';

/** Conversations in access records about `target`. */
export function serveRecords(target: AccessTarget, log: Log): Conversation {
  return (input, output, name) =>
    new Promise((resolve) => {
      const tell = (line: string) => log(`${name}: ${line}`);
      new StreamPeer(input, output, tell, (peer) => recordHandler(target, peer), resolve);
    });
}

function recordHandler(target: AccessTarget, peer: StreamPeer): PeerHandler {
  const channel = new AccessChannel(target, {
    send: (bytes) => peer.write(bytes),
    fail: (reason) => peer.end(reason),
    ready: () => peer.isReady,
  });
  return {
    receive: (chunk) => channel.receive(chunk),
    resume: () => channel.resume(),
    finish() {
      const rest = channel.finish();
      if (rest > 0) peer.log(`went away in the middle of a record, after ${rest} bytes of it`);
    },
    get isBusy() {
      return channel.isBusy;
    },
    close: () => channel.close(),
  };
}
