//! ② What one socket does from its upgrade to its close: one task, one loop over a closed set of
//! events.
//!
//! In: messages, answers of calls, verdicts on credentials, timers, the stop of the process.
//! Out: frames. The decisions about authority are [`phase`]'s, those about ids [`inflight`]'s;
//! the loop performs them.
//! Never: a wait inside a handler. Authorisation and backends run in the calls' own tasks, so no
//! call delays another or a control frame.

mod phase;
mod terms;
mod inflight;
mod timers;
mod heartbeat;
mod reauth;
mod authority;
mod review;
mod frames;
mod calls;
mod counts;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;
use tollgate_proto::frame::server::Notice;
use tollgate_proto::iam::Client;
use tollgate_proto::secret::SecretString;
use uuid::Uuid;

use crate::authorise::Caller;
use crate::handles::Handles;
use crate::reply::{Replies, Reply};
use crate::seats::Seat;
use crate::sessions::{Gate, Standing, Told};
use crate::socket::{Counted, End, Io, Socket};
use authority::{Checking, Verdict};
use calls::{Ended, WaitingCall};
use heartbeat::Pulse;
use inflight::Inflight;
use phase::{Input, Phase, Way};
use review::{News, Reviewed, Reviewing, poll_news};
use terms::Terms;
use timers::Timers;

/// Messages of one socket in one turn; then other sockets have theirs.
const TURN: usize = 16;

/// One socket's session.
pub(crate) struct Session {
    handles: Arc<Handles>,
    /// Names the connection in logs and in `auth-ok`.
    id: Uuid,
    client: Arc<Client>,
    socket: Socket,
    seat: Arc<Seat>,
    phase: Phase,
    caller: Option<Arc<Caller>>,
    /// Where the feed finds whoever is bound.
    standing: Option<Standing>,
    /// What the feed said, until it was acted on.
    cause: Option<Told>,
    reviewing: Option<Reviewing>,
    gate: Arc<Gate>,
    terms: Terms,
    /// The largest frame that clients of this kind take, unless they say otherwise.
    usual_frame: Option<u64>,
    pulse: Option<Pulse>,
    /// When the pings so far would have come, had they kept to their pace.
    pinged: Option<Instant>,
    /// An `auth-ok` was said: a close is announced by a frame.
    greeted: bool,
    /// The credential that is being judged.
    checking: Option<Checking>,
    /// What the machine is told when the present event was handled.
    follows: Option<Input>,
    /// Refused credentials in a row.
    refusals: u32,
    /// Whether the last credential could not be judged.
    iam_silent: bool,
    /// Malformed frames in a row.
    malformed: u32,
    /// Frames behind an auth frame that is being judged, and their bytes.
    held: VecDeque<Utf8Bytes>,
    held_bytes: usize,
    inflight: Inflight<WaitingCall>,
    /// Answers of running calls. Made with the first call: most idle sockets never need it.
    answers: Option<(Replies, mpsc::Receiver<Box<Reply>>)>,
    tasks: JoinSet<Ended>,
    timers: Timers,
    draining: bool,
    counted: Counted,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What can happen to a session.
enum Event {
    /// The process shall stop.
    Stop,
    /// The feed has something to say.
    News(News),
    /// A timer has run out.
    Timer,
    /// A credential was judged.
    Judged(Verdict),
    /// IAM has said what is left of the identity.
    Reviewed(Reviewed),
    /// The socket has read or flushed.
    Io(Io),
    /// A call has something to say.
    Answer(Box<Reply>),
    /// A call's task is over.
    TaskEnded(Result<Ended, JoinError>),
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// We close, with this code.
    Close(CloseCode),
    /// The client said goodbye.
    Closed,
    /// There is nobody left to say goodbye to.
    Gone,
}

type Flow = ControlFlow<Ending>;

/// What the upgrade told of a client.
pub(crate) struct Arrival {
    pub(crate) client: Client,
    /// A credential on the upgrade counts as a first frame sent early.
    pub(crate) token: Option<SecretString>,
    /// The largest frame that clients of this kind take, unless they say otherwise.
    pub(crate) usual_frame: Option<u64>,
}

impl Session {
    /// The session of a socket that has just been opened. Boxed: a future that is given one has room
    /// for it twice.
    pub(crate) fn open(
        socket: Socket,
        seat: Arc<Seat>,
        handles: Arc<Handles>,
        arrival: Arrival,
    ) -> Box<Self> {
        let Arrival { client, token, usual_frame } = arrival;
        let mut session = Box::new(Self::new(socket, seat, handles, client));
        session.usual_frame = usual_frame;
        if let Some(token) = token {
            session.check_early(token);
        }
        session
    }

    /// Serves the socket until it is closed.
    pub(crate) async fn serve(mut self: Box<Self>) {
        let gate = Arc::clone(&self.gate);
        let session = async {
            let ending = self.run().await;
            // On the heap too, at the end: an idle socket has no room for its goodbye.
            Box::pin(self.end(ending)).await;
        };
        gate.around(session).await;
    }

    fn new(socket: Socket, seat: Arc<Seat>, handles: Arc<Handles>, client: Client) -> Self {
        let limits = &handles.rules.load().limits;
        Self {
            id: Uuid::now_v7(),
            client: Arc::new(client),
            socket,
            seat,
            phase: Phase::New,
            caller: None,
            standing: None,
            cause: None,
            reviewing: None,
            gate: Arc::default(),
            terms: Terms::default(),
            usual_frame: None,
            pulse: None,
            pinged: None,
            greeted: false,
            checking: None,
            follows: None,
            refusals: 0,
            iam_silent: false,
            malformed: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            inflight: Inflight::new(limits.into()),
            answers: None,
            tasks: JoinSet::new(),
            timers: Timers::new(limits.auth_deadline),
            draining: false,
            counted: Counted::new(Arc::clone(&handles.metrics)),
            stop: Box::pin(handles.stop().clone().cancelled_owned()),
            handles,
        }
    }

    async fn run(&mut self) -> Ending {
        loop {
            self.watch_the_reader();
            self.timers.overdue = self.inflight.due();
            self.timers.lease = self.lease_to_watch();
            let event = self.next_event().await;
            if let ControlFlow::Break(ending) = self.turn(event).await {
                return ending;
            }
        }
    }

    /// Waits for something to happen. Every arm is a poll without side effects until it is ready,
    /// so dropping the others loses nothing.
    async fn next_event(&mut self) -> Event {
        let (reads, is_open) = (self.reads(), self.is_open());
        let Self { socket, answers, tasks, checking, reviewing, timers, draining, stop, .. } = self;
        let Self { handles, standing, phase, .. } = self;
        let takes_answers = answers.is_some() && socket.has_room() && is_open;
        // The stop first, then what ends authority, then answers, then new work.
        tokio::select! {
            biased;
            () = stop.as_mut(), if !*draining => Event::Stop,
            news = poll_fn(|cx| poll_news(standing.as_ref(), &handles.questions, *phase, cx)) => {
                Event::News(news)
            }
            () = timers.elapsed() => Event::Timer,
            verdict = authority::judged(checking), if checking.is_some() => Event::Judged(verdict),
            reviewed = review::reviewed(reviewing), if reviewing.is_some() => {
                Event::Reviewed(reviewed)
            }
            Some(answer) = calls::next_answer(answers), if takes_answers => Event::Answer(answer),
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => Event::TaskEnded(ended),
            io = poll_fn(|cx| socket.poll(cx)), if reads => Event::Io(io),
        }
    }

    /// Handles an event and whatever else is ready, then sends all that was written at once.
    async fn turn(&mut self, event: Event) -> Flow {
        self.handle(event)?;
        for _ in 1..TURN {
            let answer = self.ready_answer();
            let answered = answer.is_some();
            if let Some(answer) = answer {
                self.handle(Event::Answer(answer))?;
            }
            match self.ready_io().await {
                Some(io) => self.handle(Event::Io(io))?,
                None if answered => {}
                None => return self.flush().await,
            }
        }
        while let Some(answer) = self.ready_answer() {
            self.handle(Event::Answer(answer))?;
        }
        self.flush().await?;
        tokio::task::yield_now().await;
        Flow::Continue(())
    }

    fn handle(&mut self, event: Event) -> Flow {
        match event {
            Event::Io(Io::Flushed) => {}
            Event::Io(Io::Read(incoming)) => self.on_message(incoming)?,
            Event::Answer(answer) => self.on_answer(*answer),
            Event::TaskEnded(ended) => self.on_task_ended(&ended),
            Event::News(news) => self.on_news(news)?,
            Event::Judged(verdict) => self.on_verdict(verdict)?,
            Event::Reviewed(reviewed) => self.on_reviewed(reviewed)?,
            Event::Timer => self.on_timers()?,
            Event::Stop => self.begin_drain()?,
        }
        self.follow()?;
        if self.draining && self.inflight.is_empty() {
            return Flow::Break(Ending::Close(CloseCode::Drained));
        }
        Flow::Continue(())
    }

    /// Whether anything is read from the client now. A token on the upgrade is decided before
    /// anything behind it; and a client that has sent a lot in the moment in which IAM is asked
    /// about it waits.
    fn reads(&self) -> bool {
        let is_silent = self.checking.as_ref().is_some_and(|checking| checking.silent);
        !(is_silent || self.phase.way() == Some(Way::Review) && self.hold_is_full())
    }

    /// When the feed will have been silent for too long for what runs.
    fn lease_to_watch(&self) -> Option<Instant> {
        let watches = self.is_open() && self.standing.is_some() && !self.inflight.is_empty();
        watches.then(|| self.handles.questions.trusted_until())
    }

    fn ready_answer(&mut self) -> Option<Box<Reply>> {
        if !self.socket.has_room() || !self.is_open() {
            return None;
        }
        self.answers.as_mut()?.1.try_recv().ok()
    }

    /// What the socket has ready. It is polled with the task's own waker, and again before the
    /// task waits.
    async fn ready_io(&mut self) -> Option<Io> {
        if !self.reads() {
            return None;
        }
        let socket = &mut self.socket;
        poll_fn(|cx| match socket.poll_read(cx) {
            Poll::Ready(incoming) => Poll::Ready(Some(Io::Read(incoming))),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    async fn flush(&mut self) -> Flow {
        self.count();
        if self.socket.is_corked() || self.socket.backlog().is_none() {
            return Flow::Continue(());
        }
        let socket = &mut self.socket;
        let flushed = poll_fn(|cx| Poll::Ready(socket.poll_flush(cx))).await;
        match flushed {
            Poll::Ready(Err(_)) => Flow::Break(Ending::Gone),
            Poll::Pending if self.socket.overflows() => {
                Flow::Break(Ending::Close(CloseCode::SlowConsumer))
            }
            Poll::Ready(Ok(())) | Poll::Pending => Flow::Continue(()),
        }
    }

    fn begin_drain(&mut self) -> Flow {
        self.draining = true;
        let drain = self.handles.rules.load().limits.drain;
        self.timers.drain_within(drain);
        if self.greeted {
            let deadline_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
            let notice = Notice::GoingAway {
                reason: "deploy".to_owned(),
                deadline_ms,
                reconnect_after_ms: 1_000,
            };
            self.socket.write(notice.write());
        }
        Flow::Continue(())
    }

    /// Ends what runs, says why, and closes: no frame is taken from here on.
    async fn end(mut self: Box<Self>, ending: Ending) {
        if let Ending::Close(code) = ending
            && !self.socket.is_corked()
        {
            self.end_calls(ErrorKind::Unavailable);
            self.refuse_held(ErrorKind::Unavailable);
            // Whoever can be told is told now; what does not leave yet leaves with the goodbye.
            let _ = self.flush().await;
            self.hear_changes().await;
            if self.greeted {
                self.socket.write(Notice::closing(code).write());
            }
            self.tell_end(ending);
            return self.socket.close(code).await;
        }
        self.forget_calls();
        self.tell_end(ending);
        if ending == Ending::Closed {
            self.socket.finish().await;
        }
        self.hear_changes().await;
    }
}

impl From<End> for Ending {
    fn from(end: End) -> Self {
        match end {
            End::Closed(_) => Self::Closed,
            End::Gone => Self::Gone,
            End::TooLarge => Self::Close(CloseCode::TooLarge),
            End::BadUtf8 => Self::Close(CloseCode::BadUtf8),
            End::Protocol => Self::Close(CloseCode::Protocol),
        }
    }
}
