//! What tools and primary say to each other: instance registry, control socket, messages
