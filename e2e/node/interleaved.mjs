// Two streams at once on one socket; the test decides whose turn it is.

const { socket } = open(process.env.TOLLGATE_KEY);
const flow = socket.flow("default");
const telling = (name) => (chunk) => (text, ended) => {
  tell(`${name}: ${text}`, ended);
  chunk(text, ended);
};
await Promise.all([
  streamed((chunk, error) => flow.graphRagStreaming("a", telling("first")(chunk), error)),
  streamed((chunk, error) => flow.documentRagStreaming("b", telling("second")(chunk), error)),
]);
process.exit();
