//! What goes wrong between here and the hub, in words that say what to do.

use std::io;
use std::path::PathBuf;

use driftgauge_data::hub::HubSource;
use hf_hub::api::sync::ApiError;

/// Why a source could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no home folder for the cache.
    #[error("there is no place for the hub's cache")]
    NoCache,
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// The cache could not be written.
    #[error("cannot write the hub's cache `{}`: {problem}", path.display())]
    Cache {
        /// The cache.
        path: PathBuf,
        /// The cause.
        problem: io::Error,
    },
    /// No answer came.
    #[error("cannot reach the hub at {endpoint}: {problem}")]
    Unreachable {
        /// The hub.
        endpoint: String,
        /// The cause.
        problem: String,
    },
    /// The repository is there, and not for everyone.
    #[error("{source_name} is gated: {problem}")]
    Gated {
        /// The repository.
        source_name: String,
        /// What the hub said.
        problem: String,
        /// Its page.
        page: String,
        /// What to do about the token.
        token: &'static str,
    },
    /// The hub knows no such repository.
    #[error("the hub knows no {source_name}")]
    NoRepository {
        /// The repository.
        source_name: String,
        /// What to do about the token.
        token: &'static str,
    },
    /// The repository has no such revision.
    #[error("`{repository}` has no branch, tag or commit `{revision}`")]
    NoRevision {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
        /// Its page.
        page: String,
    },
    /// The hub answered something else.
    #[error("the hub answered {status} for {source_name}: {problem}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The repository.
        source_name: String,
        /// What the hub said.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// The repository does not hold what is wanted of it.
    #[error("{source_name} cannot be used: {problem}")]
    Unfit {
        /// The repository.
        source_name: String,
        /// What it lacks.
        problem: String,
    },
    /// What came is not what the hub announced.
    #[error("{file} of {source_name} arrived damaged: {problem}")]
    Damaged {
        /// The repository.
        source_name: String,
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The download failed in another way.
    #[error("cannot fetch {source_name}: {problem}")]
    Other {
        /// The repository.
        source_name: String,
        /// The cause.
        problem: String,
    },
}

const NEEDS_TOKEN: &str = "and set `HF_TOKEN` to a token of yours";
const OTHER_TOKEN: &str = "with the account whose token is set";
const IF_PRIVATE: &str = "when it is private, set `HF_TOKEN` to a token that may read it";
const MAY_NOT_READ: &str = "when it is private, the token that is set may not read it";

impl HubError {
    /// What an error of the client means for a source.
    pub(crate) fn of(
        error: ApiError,
        source: &HubSource,
        source_name: &str,
        endpoint: &str,
        has_token: bool,
    ) -> Self {
        let source_name = source_name.to_owned();
        let error = match error {
            ApiError::TooManyRetries(last) => *last,
            other => other,
        };
        let request = match error {
            ApiError::RequestError(request) => *request,
            ApiError::IoError(problem) => {
                return Self::Other {
                    source_name,
                    problem: problem.to_string(),
                };
            }
            other => {
                return Self::Other {
                    source_name,
                    problem: format!("the hub's answer is not what it should be: {other}"),
                };
            }
        };
        match request {
            ureq::Error::Transport(problem) => Self::Unreachable {
                endpoint: endpoint.to_owned(),
                problem: transport(&problem),
            },
            ureq::Error::Status(status, response) => {
                let code = response
                    .header("x-error-code")
                    .unwrap_or_default()
                    .to_owned();
                let said = response
                    .header("x-error-message")
                    .unwrap_or_else(|| response.status_text());
                let problem = said.to_owned();
                let prefix = match source.kind {
                    driftgauge_data::hub::RepositoryKind::Model
                    | driftgauge_data::hub::RepositoryKind::Adapter => "",
                    driftgauge_data::hub::RepositoryKind::Dataset => "datasets/",
                };
                let page = format!("{endpoint}/{prefix}{}", source.repository);
                match (status, code.as_str()) {
                    (_, "GatedRepo") | (403, _) => Self::Gated {
                        source_name,
                        problem,
                        page,
                        token: if has_token { OTHER_TOKEN } else { NEEDS_TOKEN },
                    },
                    (_, "RevisionNotFound") => Self::NoRevision {
                        repository: source.repository.clone(),
                        revision: source.revision.clone(),
                        page,
                    },
                    // Without a token, the hub says 401 for repositories that it does not have.
                    (401, _) | (404, "RepoNotFound" | "") => Self::NoRepository {
                        source_name,
                        token: if has_token { MAY_NOT_READ } else { IF_PRIVATE },
                    },
                    _ => Self::Refused {
                        status,
                        source_name,
                        problem,
                        advice: advice(status),
                    },
                }
            }
        }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        429 => "it asks for a pause; run again later",
        500..=599 => "the hub has trouble of its own; run again later",
        _ => "look at the repository's page",
    }
}

/// The innermost cause of a failed connection.
fn transport(problem: &ureq::Transport) -> String {
    let mut innermost: &dyn std::error::Error = problem;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl driftgauge_problem::Explained for HubError {
    fn code(&self) -> &'static str {
        "hub"
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoCache => "set `HF_HOME` to a folder".to_owned(),
            Self::Cache { .. } => "set `HF_HOME` to a folder with room that can be written".to_owned(),
            Self::Unreachable { .. } => "look at the network, or set `HF_ENDPOINT` to a mirror; what is in the local cache can be used with `--offline`".to_owned(),
            Self::Gated { page, token, .. } => format!("accept its terms at {page}, {token}"),
            Self::NoRepository { token, .. } => format!("look at the spelling; {token}"),
            Self::NoRevision { page, .. } => format!("its branches and tags are listed at {page}/tree/main; without `revision`, `main` is taken"),
            Self::Refused { advice, .. } => (*advice).to_owned(),
            Self::Damaged { .. } => "it was removed; run again".to_owned(),
            Self::Other { .. } => "run again; what has arrived is kept".to_owned(),
            Self::Client(_) | Self::Unfit { .. } => return None,
        })
    }
}
