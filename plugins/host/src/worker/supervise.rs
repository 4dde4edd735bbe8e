//! A process that stands between the harness and a plugin, so that nothing a plugin starts outlives it.
//!
//! The worker forks before it has threads: the child becomes the plugin's process, and this one watches it. It adopts
//! whatever the plugin leaves behind, ends all of it when the plugin's process or the harness ends, or when more memory is
//! used than may be, and passes on how the plugin ended.
#![expect(unsafe_code, reason = "processes and signals")]

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::group::Group;
use crate::limits;

/// Exit code of a worker that used more memory than it may.
pub(super) const OVER_MEMORY: i32 = 86;
/// Exit code of a worker that started more processes than it may.
pub(super) const OVER_PROCESSES: i32 = 87;
/// Added to the number of the signal that ended the plugin's process.
pub(super) const SIGNALLED: i32 = 128;

const LOOK: Duration = Duration::from_millis(50);

/// Forks. Returns in the plugin's process only, which then has its limits; the other one ends with it.
///
/// `parent` is the process to live no longer than, `memory` the bytes that all processes of the plugin may use together, `group`
/// the control group for them where there is one.
pub(super) fn supervise(
    parent: Option<u32>,
    memory: Option<u64>,
    group: Option<Group>,
) -> io::Result<()> {
    let watched = signals();
    // SAFETY: plain calls on a process with a single thread; the sets are initialised by the calls before.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        let mut before = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, &raw const watched, &raw mut before);
        let supervisor = libc::getpid();
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                if libc::getppid() != supervisor {
                    end_now(1);
                }
                // A group of its own: a plugin that signals its group does not hit its supervisor.
                libc::setpgid(0, 0);
                libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
                if let Some(group) = group {
                    // Without it the supervisor is all there is.
                    let _ = group.join();
                    // It is the supervisor's to end.
                    std::mem::forget(group);
                }
                limit(memory)
            }
            plugin => {
                let code = watch(plugin, parent, memory, group.as_ref(), &watched);
                drop(group);
                end_now(code)
            }
        }
    }
}

/// Ends the process without running anything more of it.
pub(super) fn end_now(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

fn signals() -> libc::sigset_t {
    // SAFETY: the set is initialised by the first call.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD] {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Limits of the plugin's process that the system keeps.
fn limit(memory: Option<u64>) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let set = |resource, most: u64| {
        let known = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(most.min(known));
        setrlimit(
            resource,
            Rlimit {
                current: most,
                maximum: most,
            },
        )
    };
    set(Resource::Core, 0)?;
    set(Resource::Nofile, limits::FILES)?;
    if let Some(memory) = memory {
        set(Resource::Data, memory)?;
    }
    Ok(())
}

/// Waits for the plugin's process to end, and ends everything that it started.
fn watch(
    plugin: libc::pid_t,
    parent: Option<u32>,
    memory: Option<u64>,
    group: Option<&Group>,
    signals: &libc::sigset_t,
) -> i32 {
    let_go_of_pipes();
    let patience = libc::timespec {
        tv_sec: 0,
        tv_nsec: LOOK.as_nanos() as _,
    };
    loop {
        // SAFETY: set and time are valid; nothing is written through the null pointer.
        let signal =
            unsafe { libc::sigtimedwait(signals, std::ptr::null_mut(), &raw const patience) };
        // SAFETY: a plain call.
        let orphaned = parent.is_some_and(|parent| unsafe { libc::getppid() } as u32 != parent);
        let code = if orphaned || [libc::SIGTERM, libc::SIGINT, libc::SIGHUP].contains(&signal) {
            Some(SIGNALLED + libc::SIGTERM)
        } else {
            reap(plugin).or_else(|| excess(memory))
        };
        if let Some(code) = code {
            let out_of_memory = group.is_some_and(Group::ran_out_of_memory);
            if let Some(group) = group {
                group.kill();
            }
            end_all(plugin);
            return if out_of_memory { OVER_MEMORY } else { code };
        }
    }
}

/// The pipes belong to the plugin's process: their end has to be its end.
fn let_go_of_pipes() {
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&nothing);
        let _ = rustix::stdio::dup2_stdout(&nothing);
    }
}

/// Takes in what has ended; the exit code when the plugin's process is among it.
fn reap(plugin: libc::pid_t) -> Option<i32> {
    let mut code = None;
    loop {
        let mut status = 0;
        // SAFETY: `status` is a place to write to.
        let ended = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if ended <= 0 {
            return code;
        }
        if ended == plugin {
            code = Some(if libc::WIFSIGNALED(status) {
                SIGNALLED + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            });
        }
    }
}

/// What the plugin's processes use too much of.
fn excess(memory: Option<u64>) -> Option<i32> {
    let processes = descendants();
    if processes.len() > limits::PROCESSES {
        return Some(OVER_PROCESSES);
    }
    let used: u64 = processes.iter().filter_map(|&pid| resident(pid)).sum();
    memory
        .is_some_and(|most| used > most)
        .then_some(OVER_MEMORY)
}

/// Bytes of memory that a process holds.
fn resident(pid: libc::pid_t) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: a plain call.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

/// Ends every process below this one; what they started is adopted here, and goes the same way.
fn end_all(plugin: libc::pid_t) {
    const TRIES: u32 = 160;
    for _ in 0..TRIES {
        // SAFETY: plain calls.
        unsafe {
            libc::kill(-plugin, libc::SIGKILL);
            for pid in descendants() {
                libc::kill(pid, libc::SIGKILL);
            }
            let mut status = 0;
            loop {
                match libc::waitpid(-1, &raw mut status, libc::WNOHANG) {
                    0 => break,
                    -1 => return,
                    _ => {}
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes below this one.
fn descendants() -> Vec<libc::pid_t> {
    // SAFETY: a plain call.
    let own = unsafe { libc::getpid() };
    let mut found = Vec::new();
    let mut known = HashSet::from([own]);
    let mut open = vec![own];
    while let Some(pid) = open.pop() {
        for child in children(pid) {
            if known.insert(child) {
                found.push(child);
                open.push(child);
            }
        }
    }
    found
}

fn children(pid: libc::pid_t) -> Vec<libc::pid_t> {
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let lists = tasks.read_dir().into_iter().flatten().flatten();
    let texts = lists.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let mut found = Vec::new();
    for text in texts {
        found.extend(
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<libc::pid_t>().ok()),
        );
    }
    found
}
