//! Where the plugins that come with this program lie, in every way in which it can be installed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use driftgauge_plugin_host::Locator;

/// The plugins that are built with this program: they alone run in its process without being asked to.
pub(crate) const BUILT_IN: [&str; 4] = ["asr", "drift", "truthfulness", "uncertainty"];

/// Looks in `plugin_dirs`, then where the environment says, then in the program's own folders.
pub(crate) fn locator(plugin_dirs: &[PathBuf]) -> Locator {
    Locator::from_environment(plugin_dirs, own())
}

/// Whether a library lies in one of the program's own folders.
pub(crate) fn is_own(library: &Path) -> bool {
    library
        .parent()
        .is_some_and(|folder| own().iter().any(|own| own == folder))
}

/// The program's own folders, in the order in which they are searched.
fn own() -> Vec<PathBuf> {
    // Where the file is, not the link by which it was called: tools that install programs leave links.
    let executable = std::env::current_exe();
    let executable = executable.and_then(|path| path.canonicalize().or(Ok(path)));
    executable.map_or_else(|_| Vec::new(), |executable| beside(&executable))
}

/// The folders of the program at `executable`.
fn beside(executable: &Path) -> Vec<PathBuf> {
    let Some(folder) = executable.parent() else {
        return Vec::new();
    };
    // A build refreshes the library in `deps` each time; the one beside the program may be an older one.
    let mut folders = vec![folder.join("deps"), folder.to_owned()];
    // A tarball, a package and a wheel: `bin/driftgauge` and `lib/driftgauge/plugins`.
    if let Some(prefix) = folder.parent() {
        folders.push(prefix.join("lib").join("driftgauge").join("plugins"));
    }
    // `cargo install` copies the program alone; its plugins stay where they were built.
    if let Some(built) = built().filter(|built| belongs_with(built, executable)) {
        folders.extend([built.join("deps"), built]);
    }
    let mut seen = HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// The folder that this program was built in: `OUT_DIR` is `PROFILE/build/driftgauge-HASH/out`.
fn built() -> Option<PathBuf> {
    Path::new(env!("OUT_DIR"))
        .ancestors()
        .nth(3)
        .map(Path::to_owned)
}

/// Whether a folder is its owner's alone, and who owns the program owns it: what lies there is loaded into this process, and on a
/// machine that the program was carried to, anyone may have made a folder of that name.
#[cfg(unix)]
fn belongs_with(folder: &Path, executable: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |path: &Path| path.metadata().map(|of| (of.uid(), of.mode()));
    let (Ok((folder, mode)), Ok((program, _))) = (owner(folder), owner(executable)) else {
        return false;
    };
    const OF_OTHERS: u32 = 0o002;
    folder == program && mode & OF_OTHERS == 0
}

#[cfg(not(unix))]
fn belongs_with(folder: &Path, _: &Path) -> bool {
    folder.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_bin_has_its_plugins_in_lib() {
        let folders = beside(Path::new("/opt/x/bin/driftgauge"));
        let named = [
            "/opt/x/bin/deps",
            "/opt/x/bin",
            "/opt/x/lib/driftgauge/plugins",
        ];
        assert_eq!(folders, named.map(PathBuf::from));
    }

    #[test]
    fn the_folder_of_the_build_is_the_one_with_this_test() {
        let built = built().expect("a folder");
        let test = std::env::current_exe().expect("a program");
        assert_eq!(test.parent(), Some(built.join("deps").as_path()));
        assert!(belongs_with(&built, &test));
        assert!(
            !belongs_with(Path::new("/tmp"), &test),
            "anyone writes there"
        );
        assert!(!belongs_with(Path::new("/no/such/folder"), &test));
    }
}
