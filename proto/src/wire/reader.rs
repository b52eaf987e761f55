//! Takes fields off bytes from the network.
