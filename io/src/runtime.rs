//! The one thread that everything of a program runs on, except what must not share a thread.

use std::future::Future;
use std::io;
use tokio::runtime::{Builder, LocalOptions};

/// Runs `main` on a runtime of this thread; tasks of `tokio::task::spawn_local` share the thread, so that they may hold
/// `Rc`s and call each other directly.
///
/// # Errors
/// When the system gives no epoll instance.
pub fn run<F: Future>(main: impl FnOnce() -> F) -> io::Result<F::Output> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build_local(LocalOptions::default())?;
    let output = runtime.block_on(async { main().await });
    // A name lookup that hangs must not hold up the end of the program.
    runtime.shutdown_background();
    Ok(output)
}

/// Threads for name lookups and files: a few, as none of them is urgent.
const BLOCKING_THREADS_MAX: usize = 4;
