//! Supervised SSH forwards. **This version holds nothing yet**: no type, no function.
//!
//! The crate keeps its place in the workspace, and its name. A later version will hold a supervisor that owns the `ssh`
//! master process of each named forward, tells with proof whether bytes get through (and which database answers at the other
//! end), and reconnects when they do not.
