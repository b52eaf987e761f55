//! Appends fields to bytes for the network.
