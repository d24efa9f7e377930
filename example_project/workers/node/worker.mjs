// A worker of the protocol in Node 18 or later, without dependencies: several bodies at a time.
//
//   OPENQUEUE_URL=https://shop.example/openqueue OPENQUEUE_TOKEN=oq_... node worker.mjs QUEUE [MODULE] [SLOTS]
//
// MODULE exports `tasks`: for each id a definition and an async function run(payload, context). An error whose
// `retry` is false says that another attempt would not help; `retryIn` says after how many seconds one may.

import { hostname } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const [queue, modulePath = new URL("tasks.mjs", import.meta.url).pathname, slotsText = "4"] = process.argv.slice(2);
const { OPENQUEUE_URL: base, OPENQUEUE_TOKEN: token } = process.env;
if (!queue || !base || !token) {
    console.error("usage: OPENQUEUE_URL=... OPENQUEUE_TOKEN=... node worker.mjs QUEUE [MODULE] [SLOTS]");
    process.exit(2);
}
const slots = Number(slotsText);
const { tasks } = await import(pathToFileURL(resolve(modulePath)));

class Refused extends Error {
    constructor(status, problem) {
        super(problem.detail ?? `HTTP ${status}`);
        this.status = status;
        this.code = problem.code;
    }
}

/** Send one request; throw Refused for what the server refuses, anything else when it did not answer. */
async function send(method, path, body) {
    const answer = await fetch(`${base}/v1/worker/${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(60_000),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Refused(answer.status, told);
    return told;
}

/** Send what has to arrive: the same again until somebody answers. The server does it once. */
async function insist(method, path, body) {
    for (;;) {
        try {
            return await send(method, path, body);
        } catch (error) {
            if (error instanceof Refused && error.status !== 429 && error.status < 500) throw error;
            console.error(`no answer to ${path} (${error.message}): again`);
            await sleep(1000);
        }
    }
}

let worker = null; // what the registration told
let stopping = false;
const running = new Map(); // by lease
let roomMade = () => {};

async function register() {
    worker = await insist("POST", "registrations", {
        queues: [queue],
        tasks: Object.keys(tasks),
        language: "node",
        version: process.version,
        host: hostname(),
        pid: process.pid,
        slots,
    });
    console.error(`registered as ${worker.worker}`);
}

/** Keep the lease of all that runs, and have bodies stop that somebody cancelled or that are not ours any more. */
async function beat() {
    const told = await send("POST", "heartbeats", { worker: worker.worker, leases: [...running.keys()], stopping });
    for (const job of running.values()) {
        if (told.cancel.includes(job.work.run)) job.stop("cancelled");
        if (told.lost.includes(job.work.lease)) job.stop("lost");
    }
    if (told.command === "stop") stop();
}

async function heartbeats() {
    for (;;) {
        await sleep(worker.heartbeat * 1000);
        try {
            await beat();
        } catch (error) {
            console.error(`heartbeat: ${error.message}`);
            if (error.code === "worker_gone") for (const job of running.values()) job.stop("lost");
        }
    }
}

class Job {
    constructor(work) {
        this.work = work;
        this.controller = new AbortController();
        this.stopped = ""; // cancelled, lost or timed_out
        this.progressAt = 0;
        this.lines = [];
    }

    stop(why) {
        if (this.stopped) return;
        this.stopped = why;
        this.controller.abort(new Error(why));
    }

    get context() {
        const { run, attempt, meta } = this.work;
        return {
            run,
            attempt,
            meta,
            signal: this.controller.signal,
            progress: (percent, message = "") => this.progress(percent, message),
            log: (text, level = 20) => this.lines.push({ text: String(text), level }),
        };
    }

    progress(percent, message) {
        if (performance.now() - this.progressAt < 1000) return;
        this.progressAt = performance.now();
        send("POST", "progress", { progress: [{ lease: this.work.lease, percent, message }] }).catch(() => {});
    }

    async do() {
        const { lease, task, timeout, payload } = this.work;
        const timer = timeout && setTimeout(() => this.stop("timed_out"), timeout * 1000);
        // A body that does not heed its signal is not waited for: its result would not count.
        const abandoned = new Promise((_, reject) => {
            const { signal } = this.controller;
            signal.addEventListener("abort", () => setTimeout(() => reject(signal.reason), 1000));
        });
        let ending;
        try {
            const result = await Promise.race([tasks[task].run(payload, this.context), abandoned]);
            ending = ["completions", { lease, result: result ?? null }];
        } catch (error) {
            ending = ["failures", {
                lease,
                type: String(error.name ?? "Error").slice(0, 200) || "Error",
                message: String(error.message ?? error),
                traceback: String(error.stack ?? ""),
                retry: error.retry !== false,
                ...(error.retryIn === undefined ? {} : { retry_in: error.retryIn }),
                ...(this.stopped === "cancelled" ? { cancelled: true } : {}),
                ...(this.stopped === "timed_out" ? { timed_out: true } : {}),
            }];
        }
        clearTimeout(timer);
        if (this.lines.length) await this.tellLines();
        if (this.stopped === "lost") return "its lease was lost, nothing of it counts";
        const [kind, said] = ending;
        const told = await insist("POST", kind, { [kind]: [said] });
        return told.answers[0].status;
    }

    async tellLines() {
        try {
            await send("POST", "logs", { logs: [{ lease: this.work.lease, lines: this.lines.slice(0, 1000) }] });
        } catch (error) {
            console.error(`log: ${error.message}`);
        }
    }
}

function begin(work) {
    const job = new Job(work);
    running.set(work.lease, job);
    job.do()
        .then((status) => console.error(`${work.task}: ${status}`), (error) => console.error(`${work.task}: ${error.message}`))
        .finally(() => {
            running.delete(work.lease);
            roomMade();
        });
}

async function claim() {
    const sentAt = performance.now();
    const told = await send("POST", "claims", {
        worker: worker.worker,
        limit: slots - running.size,
        wait: running.size ? Math.min(1, worker.longest_wait) : worker.longest_wait,
        leases: [...running.keys()],
    });
    // An answer that took so long may be of a lease that ended: what it brings is given back with the next claim.
    if (performance.now() - sentAt > worker.start_before * 1000) return;
    for (const work of told.runs) begin(work);
    if (told.command === "stop") stop();
    if (!told.runs.length && !stopping) await sleep(told.retry_in * 1000);
}

function stop() {
    stopping = true;
    roomMade();
}

process.on("SIGTERM", stop);
process.on("SIGINT", stop);
for (const [id, { definition }] of Object.entries(tasks)) {
    await insist("PUT", `tasks/${id}`, { queue, ...definition });
}
await register();
heartbeats();
while (!stopping) {
    if (running.size >= slots) {
        await new Promise((resolve) => (roomMade = resolve));
        continue;
    }
    try {
        await claim();
    } catch (error) {
        if (error.code === "worker_gone") await register();
        else if (error instanceof Refused && [401, 403].includes(error.status)) throw error;
        else {
            console.error(`no answer to claims (${error.message}): again`);
            await sleep(1000);
        }
    }
}
const deadline = performance.now() + worker.grace * 1000;
while (running.size && performance.now() < deadline) await sleep(50);
await send("POST", "departures", { worker: worker.worker }).catch((error) => console.error(error.message));
process.exit(0);
