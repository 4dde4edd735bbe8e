//! Generation through mistral.rs.
