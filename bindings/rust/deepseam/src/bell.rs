//! What the library rings when a job has news: wakes a task and threads that wait.

use crate::handle::caught;
use std::os::raw::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}
#[derive(Debug, Default)]
struct State {
    rung: bool,
    waker: Option<Waker>,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Who shall be woken from now on; call it before looking whether there is something.
    pub fn set_waker(&self, waker: &Waker) {
        let mut state = self.lock();
        if !state.waker.as_ref().map_or(false, |known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }
    /// Until it rang since the last time.
    pub fn wait(&self) {
        let mut state = self.lock();
        while !state.rung {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
    }
    fn ring(&self) {
        let waker = {
            let mut state = self.lock();
            state.rung = true;
            self.changed.notify_all();
            state.waker.take()
        };
        // Outside of the lock: an executor may poll, and so set a waker, in here.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The wake callback; `user` is a Gift of an Arc<Bell>.
pub(crate) unsafe extern "C" fn ring(user: *mut c_void) {
    let bell = &*user.cast::<Arc<Bell>>();
    let _ = caught(|| bell.ring());
}
