//! A spec with the files that it includes: found when it is opened, and put together into one tree before anything is read off it.
//!
//! Sections of an included file stand beside those of the spec. What stands in both has to be the same, but for variables: there the
//! file that includes has the word.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, nearest};
use crate::located::Span;
use crate::source::Source;
use crate::tree::{Node, Value};
use crate::yaml::tree_of;

/// The presets that come with driftgauge.
static PRESETS: include_dir::Dir<'_> =
    include_dir::include_dir!("$CARGO_MANIFEST_DIR/../../specs/presets");

/// What begins the name of a preset.
const PRESET: &str = "preset:";

/// Sections whose entries have names.
const NAMED: [&str; 7] = [
    "vars",
    "models",
    "datasets",
    "finetune",
    "pretrain",
    "metrics",
    "evaluations",
];

/// Sections that are lists.
const LISTED: [&str; 3] = ["allow", "gates", "expected"];

/// What belongs to the experiment as a whole.
const OWN: [&str; 7] = [
    "name",
    "description",
    "seed",
    "max_cells",
    "compare",
    "search",
    "report",
];

/// Reads a spec from a file under the name that messages give it, with the files that it includes.
///
/// # Errors
/// When the spec itself cannot be read. What is wrong with a file that it includes is told by [`crate::read()`].
pub fn open(path: &Path, name: impl Into<String>) -> io::Result<Source> {
    let text = std::fs::read_to_string(path)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(included(
        Source::new(name, text).within(folder),
        identity(path),
    ))
}

/// A spec that is at hand already, in its folder, with the files that it includes.
#[must_use]
pub fn with_includes(source: Source) -> Source {
    let id = source.name().to_owned();
    included(source, id)
}

fn included(source: Source, id: String) -> Source {
    let own = Reached {
        id,
        name: source.name().to_owned(),
    };
    let mut follower = Follower {
        known: HashSet::from([own.id.clone()]),
        source,
        found: Vec::new(),
        open: vec![own],
    };
    let span = Span::new(0, follower.source.text().len());
    follower.file(span);
    let Follower {
        mut source, found, ..
    } = follower;
    source.refuse(found);
    source
}

/// Names of the presets.
#[must_use]
pub fn presets() -> Vec<&'static str> {
    let names = PRESETS
        .files()
        .filter_map(|file| file.path().file_stem()?.to_str());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// A file on the way from the spec to the one that is looked at.
struct Reached {
    /// What makes it the same file, whatever path leads to it.
    id: String,
    name: String,
}

fn identity(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

/// A file to include.
struct Included {
    id: String,
    name: String,
    text: String,
    /// Its folder, from that of the spec.
    folder: Option<PathBuf>,
}

struct Follower {
    source: Source,
    found: Vec<Diagnostic>,
    /// Files that are there already.
    known: HashSet<String>,
    /// Files that include one another down to this one.
    open: Vec<Reached>,
}

impl Follower {
    /// Adds what the file at a place includes, and what that includes.
    fn file(&mut self, span: Span) {
        // What cannot be read is told when the spec is.
        let part = Source::new("", self.source.written(span));
        let Ok(mut tree) = tree_of(&part) else { return };
        tree.shift(span.start);
        let Some(Value::List(items)) = tree.get("include").map(|list| &list.value) else {
            return;
        };
        for item in items {
            if let Some(name) = item.as_text() {
                match self.find(name, item.span) {
                    Ok(included) => self.add(included, item.span),
                    Err(refused) => self.found.push(*refused),
                }
            }
        }
    }

    fn add(&mut self, included: Included, span: Span) {
        if let Some(at) = self.open.iter().position(|open| open.id == included.id) {
            let mut way: Vec<String> = self.open[at..]
                .iter()
                .map(|open| format!("`{}`", open.name))
                .collect();
            way.push(format!("`{}`", self.open[at].name));
            self.found.push(
                Diagnostic::error(
                    "cycle",
                    format!(
                        "files include one another in a circle: {}",
                        way.join(" includes ")
                    ),
                )
                .at(span, "leads back")
                .help("take this one out, or put what both need into a file of its own"),
            );
            return;
        }
        if !self.known.insert(included.id.clone()) {
            return;
        }
        let place = self
            .source
            .add(included.name.clone(), &included.text, included.folder, span);
        self.open.push(Reached {
            id: included.id,
            name: included.name,
        });
        self.file(place);
        self.open.pop();
    }

    fn find(&self, written: &str, span: Span) -> Result<Included, Box<Diagnostic>> {
        if let Some(name) = written.strip_prefix(PRESET) {
            return preset(name, written, span);
        }
        if written.contains("${") {
            return Err(Box::new(
                Diagnostic::error(
                    "bad-include",
                    "files are included before variables have values",
                )
                .at(span, "says a variable")
                .help("write the path itself"),
            ));
        }
        let from_spec = self.source.seen_from_spec(span, written);
        let full = self
            .source
            .folder()
            .unwrap_or(Path::new(""))
            .join(&from_spec);
        // As the spec itself was named.
        let shown = Path::new(self.source.name())
            .parent()
            .unwrap_or(Path::new(""))
            .join(&from_spec);
        let shown = shown.display().to_string();
        match std::fs::read_to_string(&full) {
            Ok(text) => Ok(Included {
                id: identity(&full),
                name: shown,
                text,
                folder: Some(from_spec.parent().unwrap_or(Path::new("")).to_owned()),
            }),
            Err(error) => Err(Box::new(
                Diagnostic::error("missing-file", format!("cannot read `{written}`: {error}"))
                    .at(span, "")
                    .help(format!(
                        "paths start at the file that includes: `{shown}` was looked for; what comes with driftgauge is `{PRESET}NAME`"
                    )),
            )),
        }
    }
}

fn preset(name: &str, written: &str, span: Span) -> Result<Included, Box<Diagnostic>> {
    let file = PRESETS.get_file(format!("{name}.yaml"));
    let text = file.and_then(include_dir::File::contents_utf8);
    let Some(text) = text else {
        let names = presets();
        let known: Vec<String> = names
            .iter()
            .map(|name| format!("`{PRESET}{name}`"))
            .collect();
        let known = format!("presets are {}", known.join(", "));
        return Err(Box::new(
            Diagnostic::error("unknown-preset", format!("there is no preset `{name}`"))
                .at(span, "not known here")
                .help(match nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean `{PRESET}{near}`? {known}"),
                    None => known,
                }),
        ));
    };
    Ok(Included {
        id: written.to_owned(),
        name: written.to_owned(),
        text: text.to_owned(),
        folder: None,
    })
}

/// The tree of each file of a spec, its own first, with the places of the whole text; what cannot be read of an included one is told.
///
/// # Errors
/// When the spec itself cannot be read.
pub(crate) fn trees(source: &Source) -> Result<(Vec<Node>, Vec<Diagnostic>), Box<Diagnostic>> {
    let mut trees = Vec::new();
    let mut found = source.refused().to_vec();
    for (number, (name, span)) in source.parts().enumerate() {
        let part = Source::new(name, source.written(span));
        match tree_of(&part) {
            Ok(mut tree) => {
                tree.shift(span.start);
                trees.push(tree);
            }
            Err(refused) if number == 0 => return Err(refused),
            Err(mut refused) => {
                for (place, _) in &mut refused.labels {
                    *place = Span::new(place.start + span.start, place.end + span.start);
                }
                if refused.labels.is_empty() {
                    refused.message = format!("`{name}` cannot be read: {}", refused.message);
                }
                found.push(*refused);
            }
        }
    }
    Ok((trees, found))
}

/// Puts the trees of included files into that of the spec.
pub(crate) fn merged(source: &Source, trees: Vec<Node>, found: &mut Vec<Diagnostic>) -> Node {
    let mut trees = trees.into_iter();
    let mut whole = trees
        .next()
        .unwrap_or_else(|| Node::nowhere(Value::Map(Vec::new())));
    for tree in trees {
        merge(source, &mut whole, tree, found);
    }
    if source.folder().is_none()
        && let Some(include) = whole.get("include")
    {
        found.push(
            Diagnostic::error(
                "missing-file",
                "a spec that lies in no folder includes nothing",
            )
            .at(include.span, "")
            .help("save it to a file first"),
        );
    }
    whole
}

fn merge(source: &Source, whole: &mut Node, part: Node, found: &mut Vec<Diagnostic>) {
    let span = part.span;
    let Value::Map(sections) = part.value else {
        found.push(
            Diagnostic::error("wrong-type", "an included file holds sections of a spec")
                .at(span, "this is something else")
                .help("for example `models:` with an entry for each model"),
        );
        return;
    };
    for (key, section) in sections {
        let name = key.as_text().unwrap_or_default().to_owned();
        if name == "include" || (name == "version" && section.value == Value::Unsigned(1)) {
            continue;
        }
        if OWN.contains(&name.as_str()) {
            found.push(
                Diagnostic::error(
                    "not-together",
                    format!("`{name}` belongs to the experiment, not to a file that it includes"),
                )
                .at(key.span, "")
                .help("write it in the spec itself"),
            );
            continue;
        }
        let Some(own) = whole.get_mut(&name) else {
            add(whole, key, section);
            continue;
        };
        match (&mut own.value, section.value) {
            (Value::Map(own), Value::Map(further)) if NAMED.contains(&name.as_str()) => {
                names(source, &name, own, further, found);
            }
            (Value::List(own), Value::List(further)) if LISTED.contains(&name.as_str()) => {
                own.extend(further);
            }
            // What does not fit is told where it stands.
            (_, value) => {
                let section = Node {
                    value,
                    span: section.span,
                    said: None,
                };
                add(whole, key, section);
            }
        }
    }
}

/// Adds a section to a map.
fn add(node: &mut Node, key: Node, section: Node) {
    if let Value::Map(entries) = &mut node.value {
        entries.push((key, section));
    }
}

/// Adds the entries of a section; what stands in both files has to be the same.
fn names(
    source: &Source,
    section: &str,
    own: &mut Vec<(Node, Node)>,
    further: Vec<(Node, Node)>,
    found: &mut Vec<Diagnostic>,
) {
    // Defaults of an included file come first, since those of the spec may be made of them.
    let mut before = 0;
    for (id, entry) in further {
        let name = id.as_text().unwrap_or_default();
        match own.iter().find(|(known, _)| known.is(name)) {
            None if section == "vars" => {
                own.insert(before, (id, entry));
                before += 1;
            }
            None => own.push((id, entry)),
            // Of two files that know nothing of each other, neither has the word.
            Some((known, _)) if section == "vars" && source.is_included_by(id.span, known.span) => {}
            Some((_, known)) if known.says_as(&entry) => {}
            Some((known, _)) => found.push(
                Diagnostic::error(
                    "duplicate-key",
                    format!("`{name}` under `{section}` stands in two files, and they differ"),
                )
                .at(id.span, "the second one")
                .at(known.span, "the first one")
                .help(match section {
                    "vars" => "set it in the spec, whose word counts for both, or give one of them another name",
                    _ => "give one of them another name; of an included file, a spec sets the `vars` alone",
                }),
            ),
        }
    }
}
