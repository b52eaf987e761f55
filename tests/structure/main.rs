//! Keeps the shape of the repository: the layers inside `proto`, the crate graph, the requirement ids, the wording.

// clippy's switches for tests do not cover the functions that tests share.
#![allow(clippy::indexing_slicing)]

mod crate_graph;
mod layers;
mod named_tests;
mod repository;
mod requirements;
mod rust_source;
mod wording;
