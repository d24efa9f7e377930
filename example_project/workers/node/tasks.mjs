// Tasks of the Node worker: each with its definition and its body.

export const tasks = {
    "media.words": {
        definition: {
            description: "Count the words of a text.",
            schema: {
                type: "object",
                properties: { text: { type: "string" } },
                required: ["text"],
                additionalProperties: false,
            },
            max_attempts: 3,
            timeout: 60,
        },
        // `context` has run, attempt, meta, progress(), log(), and signal, which is aborted when the body should stop.
        async run({ text }, context) {
            const words = text.split(/\s+/).filter(Boolean);
            context.progress(50, "split");
            context.log(`counting ${words.length} words`);
            return { words: words.length, different: new Set(words).size };
        },
    },
};
