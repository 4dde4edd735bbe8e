//! The C ABI of metric plugins and the JSON it carries.
