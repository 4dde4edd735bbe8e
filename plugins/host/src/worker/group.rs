//! A control group (cgroup v2) for the processes of a plugin, where this process may make one below its own: whatever a plugin
//! starts and however it hides it, all of it ends with one word to the kernel, even when the plugin has killed its supervisor.
//! Where none can be made (no cgroup v2, no right to write there), the supervisor is all there is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A group of processes. Whoever drops it ends them, and removes it.
#[derive(Debug)]
pub(super) struct Group(PathBuf);

impl Group {
    /// Makes a group below that of this process, whose members use at most so many bytes together where the kernel keeps such
    /// limits there. `None` where it may not.
    pub(super) fn new(memory: Option<u64>) -> Option<Self> {
        static GROUPS: AtomicUsize = AtomicUsize::new(0);
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let name = format!("driftgauge-plugin-{}-{number}", std::process::id());
        let folder = own_folder()?.join(name);
        fs::create_dir(&folder).ok()?;
        Self::of(folder, memory)
    }

    /// A group that somebody made.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn of(folder: PathBuf, memory: Option<u64>) -> Option<Self> {
        let group = Self(folder);
        // Only there where the groups above are given the controller, which they rarely are while they hold processes themselves.
        let limit = group.0.join("memory.max");
        if let Some(memory) = memory.filter(|_| limit.exists()) {
            let _ = fs::write(limit, memory.to_string());
        }
        // Linux before 5.14 ends no groups; then this one is of no use.
        group.0.join("cgroup.kill").exists().then_some(group)
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Moves this process into it.
    ///
    /// # Errors
    /// When the kernel does not let it.
    pub(super) fn join(&self) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), "0")
    }

    /// Whether the kernel ended a member because of the limit on memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        let mut lines = events.lines();
        lines.any(|line| {
            line.strip_prefix("oom_kill ")
                .is_some_and(|count| count != "0")
        })
    }

    /// Ends all its members.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        const TRIES: u32 = 100;
        for _ in 0..TRIES {
            self.kill();
            match fs::remove_dir(&self.0) {
                // It has members for a moment longer.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                _ => return,
            }
        }
    }
}

/// The folder of this process' own group in the hierarchy of version 2.
fn own_folder() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_in(&groups, &mounts)
}

/// As [`own_folder`], from what the system says: `0::/user.slice/..` and lines `ID PARENT DEVICE ROOT PLACE OPTIONS.. - TYPE ..`.
fn folder_in(groups: &str, mounts: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, place) = (place.next()?, place.next()?);
        // A mount that shows another part of the hierarchy has no folder of ours.
        let below = Path::new(own).strip_prefix(root).ok()?;
        kind.starts_with("cgroup2 ")
            .then(|| Path::new(place).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_below_its_mount() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro\n\
                      31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 30 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        let found = |groups: &str, mounts: &str| folder_in(groups, mounts);
        let groups = "4:memory:/a\n0::/user.slice/session-1.scope\n";
        let folder = Path::new("/sys/fs/cgroup/unified/user.slice/session-1.scope");
        assert_eq!(found(groups, mounts).as_deref(), Some(folder));
        assert_eq!(found("4:memory:/a\n", mounts), None);
        assert_eq!(
            found(groups, "32 30 0:28 /other /g rw - cgroup2 c rw\n"),
            None
        );
        let part = found(groups, "32 30 0:28 /user.slice /g rw - cgroup2 c rw\n");
        assert_eq!(part.as_deref(), Some(Path::new("/g/session-1.scope")));
    }

    /// A folder with the kernel's files stands for a group.
    #[test]
    fn a_group_is_limited_and_ended_through_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let of = |memory| Group::of(folder.path().to_owned(), memory);
        // Without `cgroup.kill` it is none; what is there is not removed, since it is not empty.
        fs::write(file("memory.max"), "max").unwrap();
        assert!(of(Some(1 << 30)).is_none());
        fs::write(file("cgroup.kill"), "").unwrap();
        let group = of(Some(1 << 20)).unwrap();
        let read = |name: &str| fs::read_to_string(file(name)).unwrap();
        assert_eq!(
            (read("memory.max"), read("cgroup.kill")),
            ("1048576".to_owned(), String::new())
        );
        assert!(!group.ran_out_of_memory());
        fs::write(file("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(group.ran_out_of_memory());
        group.join().unwrap();
        assert_eq!(read("cgroup.procs"), "0");
        drop(group);
        assert_eq!(read("cgroup.kill"), "1");
    }
}
