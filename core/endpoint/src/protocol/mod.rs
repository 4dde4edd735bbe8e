//! What is said to a server and what it says.

mod answer;
#[cfg(test)]
mod fixture;
mod request;
#[cfg(test)]
mod shapes;

pub(crate) use answer::{Answer, Served, explanation, read};
pub(crate) use request::{Dialect, body, path, refused_setting};
