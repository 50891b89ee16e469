// Every call of @trustgraph/client, against services that the test plays.

const { socket, states } = open(process.env.TOLLGATE_KEY);
const called = new Set();
const apis = [];
const watch = (api) => {
  apis.push(api);
  const get = (api, name) => called.add(`${api.constructor.name}.${String(name)}`) && api[name];
  return new Proxy(api, { get });
};
const flow = watch(socket.flow("default"));
const config = watch(socket.config());
const flows = watch(socket.flows());
const library = watch(socket.librarian());
const cores = watch(socket.knowledge());
const collections = watch(socket.collectionManagement());

await tellOf("text completion", flow.textCompletion("be brief", "hello"));
tell("states", states);

await tellOf("graph rag", flow.graphRag("who", { entityLimit: 5 }));
await tellOf("document rag", flow.documentRag("who"));
await tellOf("embeddings", flow.embeddings(["a", "b"]));
await tellOf("graph embeddings", flow.graphEmbeddingsQuery([1, 2]));
await tellOf("triples", flow.triplesQuery({ t: "i", i: "urn:a" }));
await tellOf("rows", flow.rowsQuery("{ people { name } }"));
await tellOf("nlp query", flow.nlpQuery("who is there"));
await tellOf("structured query", flow.structuredQuery("who is there"));
await tellOf("row embeddings", flow.rowEmbeddingsQuery([1, 2], "people"));
await tellOf("load document", flow.loadDocument("JVBERg==", "doc-1"));
await tellOf("load text", flow.loadText("aGVsbG8=", "doc-2", undefined, "utf-8"));

tell("text stream", await streamed((chunk, error) =>
  flow.textCompletionStreaming("be brief", "stream", chunk, error)));
tell("prompt stream", await streamed((chunk, error) =>
  flow.promptStreaming("question", { about: "it" }, chunk, error)));
const explained = [];
tell("graph rag stream", await streamed((chunk, error) =>
  flow.graphRagStreaming("stream", chunk, error, {}, "books", (event) => explained.push(event))));
tell("graph rag explained", explained);
tell("document rag stream", await streamed((chunk, error) =>
  flow.documentRagStreaming("stream", chunk, error)));
tell("failing stream", await streamed((chunk, error) =>
  flow.textCompletionStreaming("be brief", "fail", chunk, error)));

// agent() looks at chunk_type, which servers have called message_type for a long time: of these it
// calls nothing, and resolves at the end all the same.
for (const question of ["as it is answered now", "as it was answered once"]) {
  const events = [];
  const on = (kind) => (content, complete) => events.push([kind, content, complete]);
  await flow.agent(question, on("thought"), on("observation"), on("answer"), on("error"));
  tell(`agent: ${question}`, events);
}

await tellOf("config", config.getConfigAll());
await tellOf("config get", config.getConfig([{ type: "prompt", key: "system" }]));
await tellOf("config put", config.putConfig([{ type: "mine", key: "k", value: "v" }]));
await tellOf("config delete", config.deleteConfig([{ type: "mine", key: "k" }]));
await tellOf("config list", config.list("prompt"));
await tellOf("config values", config.getValues("mine"));
await tellOf("prompts", config.getPrompts());
await tellOf("prompt", config.getPrompt("question"));
await tellOf("system prompt", config.getSystemPrompt());
await tellOf("token costs", config.getTokenCosts());

await tellOf("flows", flows.getFlows());
await tellOf("flow", flows.getFlow("default"));
await tellOf("blueprints", flows.getFlowBlueprints());
await tellOf("blueprint", flows.getFlowBlueprint("everything"));
await tellOf("delete blueprint", flows.deleteFlowBlueprint("everything"));
await tellOf("start flow", flows.startFlow("second", "everything", "Another one", { model: "m" }));
await tellOf("start flow again", flows.startFlow("second", "everything", "Another one"));
await tellOf("stop flow", flows.stopFlow("second"));

await tellOf("documents", library.getDocuments());
await tellOf("processing", library.getProcessing());
await tellOf("document metadata", library.getDocumentMetadata("doc-1"));
await tellOf("add document",
  library.loadDocument("aGVsbG8=", "text/plain", "Title", "", ["a"], "doc-3", []));
await tellOf("remove document", library.removeDocument("doc-3"));
await tellOf("add processing", library.addProcessing("proc-1", "doc-1", "default"));
await tellOf("begin upload", library.beginUpload({ id: "doc-4" }, 10, 5));
await tellOf("upload chunk", library.uploadChunk("up-1", 0, "aGVsbG8="));
await tellOf("upload status", library.getUploadStatus("up-1"));
await tellOf("complete upload", library.completeUpload("up-1"));
await tellOf("abort upload", library.abortUpload("up-2"));
await tellOf("uploads", library.listUploads());
tell("document stream", await new Promise((resolve) => {
  const chunks = [];
  library.streamDocument("doc-1", (content, index, total, complete) => {
    chunks.push([content, index, total, complete]);
    if (complete) resolve(chunks);
  }, resolve);
}));

await tellOf("cores", cores.getKnowledgeCores());
await tellOf("load core", cores.loadKgCore("core-1", "default"));
await tellOf("delete core", cores.deleteKgCore("core-1"));
await tellOf("collections", collections.listCollections(["a"]));
await tellOf("update collection", collections.updateCollection("books", "Books"));
await tellOf("delete collection", collections.deleteCollection("books"));

await tellOf("no such service", socket.makeRequest("no-such-service", { operation: "x" }));
const reader = open(process.env.TOLLGATE_READER).socket;
await tellOf("not allowed", reader.config().putConfig([]));
reader.close();

// Its reader looks for the end in the wrong place, so that the call never ends on this side.
let rest;
const parts = [];
await new Promise((resolve) => {
  rest = cores.getKgCore("core-1", "default", (message, ended) => {
    parts.push([message.response, message.complete, ended]);
    if (message.complete) resolve();
  });
});
tell("get core", parts);
tell("calls that it takes for running", Object.keys(socket.inflight).length);
socket.close();
await tellOf("get core at the close", rest);

// A newer client may have more.
const methods = apis.flatMap((api) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(api))
    .filter((name) => name !== "constructor")
    .map((name) => `${api.constructor.name}.${name}`));
tell("not called", methods.filter((method) => !called.has(method)));

// The socket opens whatever token it brings, and the client calls itself authenticated as soon as it
// brings one; its calls learn the truth.
for (const [name, token] of [["wrong token", "tg_" + "A".repeat(32)], ["no token", undefined]]) {
  const { socket, states } = open(token);
  await tellOf(name, socket.flow("default").textCompletion("", "never"));
  await tellOf(`${name}: config`, socket.config().getConfigAll());
  tell(`${name}: states`, states);
  socket.close();
}
process.exit();
