//! A hub: repositories that are folders on this machine, with the answers and headers that clients go by.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Service;
use super::http::{Request, Response};

/// The repositories.
pub(super) struct Hub {
    settings: Value,
}

struct Repository {
    folder: PathBuf,
    commit: String,
    branch: String,
    token: Option<String>,
}

impl Hub {
    pub(super) fn new(settings: &Value) -> Self {
        Self {
            settings: settings.clone(),
        }
    }

    fn repository(&self, kind: &str, id: &str) -> Option<Repository> {
        let found = &self.settings[kind][id];
        let text = |name: &str| found[name].as_str().map(str::to_owned);
        Some(Repository {
            folder: text("folder")?.into(),
            commit: text("commit")?,
            branch: text("branch").unwrap_or_else(|| "main".to_owned()),
            token: text("token"),
        })
    }

    /// The repository, when the caller may see it at that revision.
    fn open(
        &self,
        kind: &str,
        id: &str,
        revision: &str,
        request: &Request,
    ) -> Result<Repository, Response> {
        let refused = |status: u16, code: &str| {
            Response::json(status, &json!({ "error": code })).with("X-Error-Code", code)
        };
        let repository = self
            .repository(kind, id)
            // The real hub says so too, so that nobody learns which private repositories there are.
            .ok_or_else(|| refused(401, "RepoNotFound"))?;
        if let Some(token) = &repository.token
            && request.header("authorization") != format!("Bearer {token}")
        {
            return Err(refused(403, "GatedRepo"));
        }
        if revision != repository.branch && revision != repository.commit {
            return Err(refused(404, "RevisionNotFound"));
        }
        Ok(repository)
    }
}

impl Service for Hub {
    fn answer(&self, request: &Request) -> Response {
        let path = request.path.trim_start_matches('/');
        let answer = if let Some(rest) = path.strip_prefix("api/") {
            self.info(rest, request)
        } else if let Some(rest) = path.strip_prefix("storage/") {
            // Large files lie elsewhere; the way there is signed, and needs no token.
            Some(self.stored(rest, request))
        } else {
            self.resolve(path, request)
        };
        answer.unwrap_or_else(|| Response::new(404, "no such path"))
    }
}

impl Hub {
    /// `models/org/name/revision/rev`
    fn info(&self, path: &str, request: &Request) -> Option<Response> {
        let (kind, rest) = path.split_once('/')?;
        let (id, revision) = rest.split_once("/revision/")?;
        Some(
            match self.open(kind, id, &revision.replace("%2F", "/"), request) {
                Err(response) => response,
                Ok(repository) => {
                    let files: Vec<Value> = files(&repository.folder, "")
                        .into_iter()
                        .map(|name| json!({ "rfilename": name }))
                        .collect();
                    Response::json(
                        200,
                        &json!({ "id": id, "sha": repository.commit, "siblings": files }),
                    )
                }
            },
        )
    }

    /// `org/name/resolve/rev/file`, or the same behind `datasets/`
    fn resolve(&self, path: &str, request: &Request) -> Option<Response> {
        let (kind, path) = match path.strip_prefix("datasets/") {
            Some(rest) => ("datasets", rest),
            None => ("models", path),
        };
        let (id, rest) = path.split_once("/resolve/")?;
        let (revision, file) = rest.split_once('/')?;
        let repository = match self.open(kind, id, revision, request) {
            Ok(repository) => repository,
            Err(response) => return Some(response),
        };
        let Ok(bytes) = std::fs::read(repository.folder.join(file)) else {
            return Some(Response::new(404, "").with("X-Error-Code", "EntryNotFound"));
        };
        let etag = etag(&bytes);
        let response = if file.ends_with(".safetensors") || file.ends_with(".parquet") {
            Response::new(302, "")
                .with(
                    "Location",
                    &format!(
                        "http://{}/storage/{kind}/{id}/{file}",
                        request.header("host")
                    ),
                )
                .with("X-Linked-Etag", &etag)
        } else {
            part(&bytes, request).with("ETag", &etag)
        };
        Some(response.with("X-Repo-Commit", &repository.commit))
    }

    /// `kind/org/name/file`
    fn stored(&self, path: &str, request: &Request) -> Response {
        let mut parts = path.splitn(4, '/');
        let mut part_of = || parts.next().unwrap_or_default().to_owned();
        let (kind, organisation, name, file) = (part_of(), part_of(), part_of(), part_of());
        self.repository(&kind, &format!("{organisation}/{name}"))
            .and_then(|repository| std::fs::read(repository.folder.join(file)).ok())
            .map_or_else(
                || Response::new(404, ""),
                |bytes| {
                    part(&bytes, request)
                        .with("ETag", &etag(&bytes))
                        .with("X-Repo-Commit", "storage")
                },
            )
    }
}

/// The bytes that a `Range` header asks for.
fn part(bytes: &[u8], request: &Request) -> Response {
    let range = request.header("range").strip_prefix("bytes=");
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
        return Response::new(200, bytes);
    };
    let last = bytes.len().saturating_sub(1);
    let from: usize = from.parse().unwrap_or(0);
    let to: usize = to.parse().unwrap_or(last).min(last);
    let slice = bytes.get(from..=to).unwrap_or_default();
    Response::new(206, slice).with(
        "Content-Range",
        &format!("bytes {from}-{to}/{}", bytes.len()),
    )
}

/// A name for the bytes; the hub's own are SHA-1 and SHA-256, and clients take them as they come.
fn etag(bytes: &[u8]) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("\"{state:016x}\"")
}

/// Names of the files in a folder and its subfolders, with `/`.
fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}
