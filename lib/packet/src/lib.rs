//! Wire formats: checked views and builders
