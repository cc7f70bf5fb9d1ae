//! The thread of a helper: has it started or lets it connect, again and again, until it is to end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::carry::{self, Asked, Connection};
use super::{BeginError, What, exec, listener};
use crate::config::{HelperConfig, Transport};

/// Packets that lie in the queue to a thread at most: those that nobody waits for any more are among them.
const QUEUE: usize = 1024;
/// How long to wait before a helper is started again, the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// The relay's end of a thread. The thread ends when this is dropped, and the helper with it.
pub(super) struct Served {
    queue: SyncSender<Asked>,
    bell: UnixStream,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// What a thread and the relay both look at.
#[derive(Default)]
pub(super) struct State {
    /// The helper can be asked.
    ready: AtomicBool,
    /// The thread is to end.
    ends: AtomicBool,
    /// The highest id that was asked.
    asked: AtomicU64,
}

impl State {
    pub(super) fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }
}

impl Served {
    /// Has a thread for a helper, and its socket made if it connects by one.
    pub(super) fn begin(config: &HelperConfig, tell: Box<dyn Fn(What) + Send>) -> Result<Self, BeginError> {
        let failed = |source| BeginError::Thread {
            name: config.name.clone(),
            source,
        };
        let way = match &config.transport {
            Transport::Exec { words, user } => Way::Exec(words.clone(), user.clone()),
            Transport::Socket(path) => Way::Socket(listener::Socket::bind(path)?),
        };
        let (queue, asked) = mpsc::sync_channel(QUEUE);
        let (bell, rung) = UnixStream::pair().map_err(failed)?;
        for end in [&bell, &rung] {
            end.set_nonblocking(true).map_err(failed)?;
        }
        let state = Arc::new(State::default());
        let mut thread = Thread {
            name: config.name.clone(),
            way,
            asked,
            rung,
            state: state.clone(),
            tell,
        };
        let builder = thread::Builder::new().name(format!("helper {}", config.name));
        let thread = builder.spawn(move || thread.run()).map_err(failed)?;
        Ok(Self {
            queue,
            bell,
            state,
            thread: Some(thread),
        })
    }

    /// Puts a question into the queue, unless that is full or the helper not there.
    pub(super) fn ask(&self, id: u64, deadline: Instant, message: impl FnOnce() -> Vec<u8>) -> bool {
        if !self.state.ready.load(Ordering::Acquire) {
            return false;
        }
        // Before the helper can have it: it may answer what was asked.
        self.state.asked.store(id, Ordering::Release);
        let message = message();
        let asked = Asked {
            id,
            deadline,
            message,
        };
        self.queue.try_send(asked).is_ok()
    }

    /// Tells the thread that there is something for it.
    pub(super) fn ring(&self) {
        // Full, it has been told and not looked yet.
        let _ = (&self.bell).write(&[0]);
    }

    /// Tells the thread to end, and gives what to wait for if that is of interest.
    pub(super) fn leave(&mut self) -> Option<JoinHandle<()>> {
        self.state.ends.store(true, Ordering::Release);
        self.ring();
        self.thread.take()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.leave();
    }
}

/// How helpers come.
enum Way {
    Exec(Vec<String>, Option<String>),
    Socket(listener::Socket),
}

struct Thread {
    name: String,
    way: Way,
    asked: Receiver<Asked>,
    rung: UnixStream,
    state: Arc<State>,
    tell: Box<dyn Fn(What) + Send>,
}

impl Thread {
    fn run(&mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.state.ends() {
            let began = Instant::now();
            let why = match self.connect() {
                Ok(None) => return,
                Ok(Some(connection)) => self.serve(connection),
                Err(error) => error.to_string(),
            };
            if self.state.ends() {
                return;
            }
            // One that was well for a while is started again soon; of those that connect each may be another program.
            if began.elapsed() > LAST_PAUSE || matches!(self.way, Way::Socket(_)) {
                pause = FIRST_PAUSE;
            }
            let next = match self.way {
                Way::Exec(..) => {
                    let pause = humantime::format_duration(pause);
                    format!("it is started again in {pause}")
                }
                Way::Socket(_) => "another may connect".to_owned(),
            };
            (self.tell)(What::Gone(format!("the helper '{}': {why}; {next}", self.name)));
            self.wait(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// The next connection; `None` when the thread is to end.
    fn connect(&mut self) -> io::Result<Option<Connection>> {
        match &mut self.way {
            Way::Exec(words, user) => exec::start(words, user.as_deref()).map(Some),
            Way::Socket(socket) => {
                let (state, rung) = (&self.state, &self.rung);
                socket.accept(rung, &|| state.ends())
            }
        }
    }

    /// Carries messages until the helper or the thread ends; says why.
    fn serve(&mut self, mut connection: Connection) -> String {
        // What was asked of the one before.
        self.forget();
        let ready = format!("the helper '{}' is there: {}", self.name, connection.shown);
        self.state.ready.store(true, Ordering::Release);
        (self.tell)(What::Ready(ready));
        let ended = carry::carry(
            &mut connection,
            &self.asked,
            &self.rung,
            &self.state,
            &|id, decision| {
                (self.tell)(What::Answer(id, decision));
            },
        );
        self.state.ready.store(false, Ordering::Release);
        let status = connection.end();
        self.forget();
        match status {
            Some(status) if ended.is_hang_up() => format!("it ended, {status}"),
            _ => ended.to_string(),
        }
    }

    fn forget(&self) {
        while self.asked.try_recv().is_ok() {}
    }

    /// Waits, unless the thread is to end.
    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.state.ends() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            carry::wait_for(&[], &self.rung, Some(left));
            let _ = (&self.rung).read(&mut [0; 64]);
        }
    }
}
