/**
 * This browser as a peer among peers: by WebSocket or WebRTC to servers, and by WebRTC to other
 * browsers, whom it meets through a server that relays. Topics work as those of transport/libp2p do
 * (docs/spec/22-transport.md). A chunk of its own: libp2p is large, and nothing else of the page needs it.
 */
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { publicKeyFromRaw } from "@libp2p/crypto/keys";
import { TopicValidatorResult, gossipsub, type GossipSub } from "@libp2p/gossipsub";
import { identify, type Identify } from "@libp2p/identify";
import type { Ed25519PrivateKey, Ed25519PublicKey, Libp2p, Stream } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { ping, type Ping } from "@libp2p/ping";
import { webRTC, webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { multiaddr } from "@multiformats/multiaddr";
import { sha256 } from "@noble/hashes/sha2.js";
import { createLibp2p } from "libp2p";
import { Writer, concat, encodeUtf8 } from "../souk/bytes.ts";
import { BadMail } from "./form.ts";
import type { Identity } from "./keys.ts";
import type { Net, Verdict } from "./net.ts";

/** Of a message (F-20). */
const mostMessage = 16 << 10;
/** For one request, ms (O-70). */
const streamTime = 30_000;
/** Servers and other browsers that this one keeps. */
const mostConnections = 16;

type Services = { identify: Identify; ping: Ping; gossip: GossipSub };

/** What a peer may know of another: who he is, and how he is reached. */
export interface Neighbour {
  peer: string;
  address: string;
  /** Another browser, not through anybody. */
  browser: boolean;
}

export class Peer implements Net {
  readonly #node: Libp2p<Services>;

  private constructor(node: Libp2p<Services>) {
    this.#node = node;
  }

  /** Starts a peer. changed is called when connections come or go, or addresses do. */
  static async start(identity: Identity, changed: () => void): Promise<Peer> {
    const node = await createLibp2p<Services>({
      privateKey: privateKeyOf(identity),
      // It is reached through a relay only, and by browsers.
      addresses: { listen: ["/p2p-circuit", "/webrtc"] },
      // No server of others is asked where this browser is: the page tells nobody anything.
      transports: [webSockets(), webRTCDirect(), webRTC({ rtcConfiguration: { iceServers: [] } }), circuitRelayTransport()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      // A server may be this machine.
      connectionGater: { denyDialMultiaddr: () => false },
      connectionManager: { maxConnections: mostConnections },
      nodeInfo: { userAgent: "souk-page" },
      services: {
        identify: identify(),
        ping: ping(),
        gossip: gossipsub({
          globalSignaturePolicy: "StrictNoSign", msgIdFn: (m) => idOf(m.topic, m.data), allowPublishToZeroTopicPeers: true, ignoreDuplicatePublishError: true,
          maxInboundDataLength: mostMessage, emitSelf: false, doPX: false,
        }),
      },
    });
    for (const event of ["connection:open", "connection:close", "self:peer:update"] as const) node.addEventListener(event, changed);
    return new Peer(node);
  }

  /** Who this browser is among peers. */
  get name(): string {
    return this.#node.peerId.toString();
  }

  peers(): string[] {
    return this.#node.getPeers().map(String);
  }

  /** Each once: two browsers that dial each other may have two connections. */
  neighbours(): Neighbour[] {
    const all = new Map<string, Neighbour>();
    for (const c of this.#node.getConnections()) {
      if (c.limits !== undefined) continue;
      const [peer, address] = [c.remotePeer.toString(), c.remoteAddr.toString()];
      all.set(peer, { peer, address, browser: /\/webrtc(\/|$)/.test(address) });
    }
    return [...all.values()];
  }

  /** Where other browsers reach this one. */
  addresses(): string[] {
    return this.#node.getMultiaddrs().map(String).filter((a) => a.includes("/p2p-circuit/webrtc"));
  }

  /** Connects to a peer at one of its addresses, each of which ends with its name. */
  async dial(addresses: readonly string[], signal: AbortSignal = AbortSignal.timeout(streamTime)): Promise<void> {
    await this.#node.dial(addresses.map((a) => multiaddr(a)), { signal });
  }

  async ask(peer: string, protocol: string, request: Uint8Array, most: number): Promise<Uint8Array> {
    const signal = AbortSignal.timeout(streamTime);
    const stream = await this.#node.dialProtocol(peerIdFromString(peer), protocol, { signal });
    const end = () => stream.abort(new BadMail("a peer does not answer"));
    signal.addEventListener("abort", end, { once: true });
    try {
      const answer = readAll(stream, most);
      answer.catch(() => undefined); // it is waited for below
      stream.send(request);
      await stream.close({ signal });
      return await answer;
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  async publish(topic: string, data: Uint8Array): Promise<void> {
    if (data.length > mostMessage) throw new BadMail("the message is too large");
    await this.#node.services.gossip.publish(topic, data);
  }

  subscribe(topic: string, judge: (data: Uint8Array) => Verdict): void {
    const { gossip } = this.#node.services;
    gossip.topicValidators.set(topic, (_, message) => results[judge(message.data)]);
    gossip.subscribe(topic);
  }

  async stop(): Promise<void> {
    await this.#node.stop();
  }
}

const results: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept, ignore: TopicValidatorResult.Ignore, reject: TopicValidatorResult.Reject,
};

/** The id of a message: of its topic, behind its length, and its bytes (F-20). */
export function idOf(topic: string, data: Uint8Array): Uint8Array {
  const name = encodeUtf8(topic);
  return sha256(new Writer().u64(BigInt(name.length)).raw(name).raw(data).done());
}

async function readAll(stream: Stream, most: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.byteLength;
    if (size > most) {
      stream.abort(new BadMail("an answer is too long"));
      throw new BadMail("an answer is too long");
    }
    parts.push(part.subarray());
  }
  return concat(...parts);
}

/** An identity as libp2p wants one. What signs stays where it is: libp2p asks for nothing but signatures. */
function privateKeyOf(identity: Identity): Ed25519PrivateKey {
  const publicKey = publicKeyFromRaw(identity.publicKey) as Ed25519PublicKey;
  return {
    type: "Ed25519",
    publicKey,
    raw: new Uint8Array(),
    equals: (other) => other !== undefined && publicKey.equals((other as { publicKey?: unknown }).publicKey),
    sign: (data) => identity.sign(data.subarray()),
  };
}
