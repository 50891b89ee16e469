// A restart of the server as the client lives through it.

const { socket, states } = open(process.env.TOLLGATE_KEY);
const flow = socket.flow("default");
await tellOf("before", flow.textCompletion("", "before"));
// Its service answers when the server has been told to stop.
await tellOf("running at the stop", flow.graphRag("slow"));
await new Promise((resolve) => {
  socket.onConnectionStateChange((state) => state.status === "reconnecting" && resolve());
});
tell("closed");
await tellOf("made while it was away", flow.textCompletion("", "made while it was away"));
await tellOf("made later", flow.textCompletion("", "made later"));
tell("states", states);
process.exit();
