// Makes a room, says something in it once, and prints what is said there, each message once, also when the connection or the hub breaks.
//
//   LONGREIN_URL=https://hub.example:9433/v1 LONGREIN_TOKEN="$(cat erp.token)" node room.ts yard '{"text": "gate 4 is free"}'
//
// For Node.js from 22.18 on, Deno and Bun; nothing is to be installed. A third word ends it after so many messages.

declare const process: { env: Record<string, string | undefined>; argv: string[]; exit(code: number): never };

const url = process.env.LONGREIN_URL ?? "";
const token = process.env.LONGREIN_TOKEN ?? "";

type Problem = { type: string; title: string; status: number; detail: string };
type Post = { cursor: string | null; id: string; from: string; payload?: unknown; payload_base64?: string };
type Event = { name: string; id?: string; data: unknown };

// What the hub refuses, so that it is of no use to ask again.
class Refused extends Error {}

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function fetched(method: string, place: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url + place, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

// What is answered; asks again where that is of use, as often as the hub wishes.
async function ask<T>(method: string, place: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  for (let tries = 5; ; tries -= 1) {
    let answer: Response | undefined;
    try {
      answer = await fetched(method, place, body, headers);
      if (answer.ok) return (await answer.json()) as T;
    } catch (error) {
      if (tries <= 1) throw error;
    }
    if (answer) {
      const problem = (await answer.json()) as Problem;
      // 429: too often. 503: busy, or not able to store now. Everything else stays as it is.
      if (![429, 503].includes(answer.status) || tries <= 1) throw new Refused(`${problem.type}: ${problem.detail}`);
    }
    await sleep(1000 * Number(answer?.headers.get("retry-after") ?? 1));
  }
}

// Events of a stream, each once: a stream that broke goes on behind the last one that was taken.
async function* events(place: string): AsyncGenerator<Event> {
  let last: string | undefined;
  for (;;) {
    try {
      const answer = await fetched("GET", place, undefined, last ? { "last-event-id": last } : {});
      if (!answer.ok && ![409, 429, 503].includes(answer.status)) throw new Refused(((await answer.json()) as Problem).detail);
      if (answer.ok && answer.body) {
        let text = "";
        for await (const part of answer.body.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>) {
          const blocks = (text + part).split("\n\n");
          text = blocks.pop() ?? "";
          for (const block of blocks) {
            const field = (name: string): string | undefined =>
              block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
            const data = field("data");
            if (data === undefined) continue;
            const event: Event = { name: field("event") ?? "message", id: field("id"), data: JSON.parse(data) };
            yield event;
            last = event.id ?? last;
          }
        }
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    await sleep(1000);
  }
}

const [room, says, count] = process.argv.slice(2);
if (!room || !says) {
  console.error("usage: room.ts ROOM JSON [COUNT]");
  process.exit(2);
}
await ask("PUT", `/rooms/${room}`, { members_max: 50 });
const said = await ask<Post>("POST", `/rooms/${room}/topics/talk/messages`, { payload: JSON.parse(says) }, {
  "idempotency-key": crypto.randomUUID(),
});
console.error("said at", said.cursor);
let heard = 0;
for await (const { name, data } of events(`/events?topics=${room}/talk&from=oldest`)) {
  if (name === "topic") {
    const { from, payload } = data as Post;
    console.log(JSON.stringify({ from, payload }));
    heard += 1;
    if (heard === Number(count)) process.exit(0);
  } else if (name === "gap") {
    console.error("missed:", (data as { why: string }).why);
  }
}

export {};
