//! Labels: closed sets, so that a metric has as many cells as there are values, made at the start.

use std::borrow::Cow;
use std::fmt;

/// A value of a label, or of two.
pub trait Label: Copy + fmt::Debug + Send + Sync + 'static {
    /// How many values there are.
    const COUNT: usize;

    /// The label's name, or both.
    fn names() -> Vec<&'static str>;

    /// Which of the values this is: below [`COUNT`](Self::COUNT).
    fn index(self) -> usize;

    /// The value at an index as text, one for each name.
    fn values(index: usize) -> Vec<Cow<'static, str>>;
}

impl<A: Label, B: Label> Label for (A, B) {
    const COUNT: usize = A::COUNT * B::COUNT;

    fn names() -> Vec<&'static str> {
        [A::names(), B::names()].concat()
    }

    fn index(self) -> usize {
        self.0.index() * B::COUNT + self.1.index()
    }

    fn values(index: usize) -> Vec<Cow<'static, str>> {
        [A::values(index / B::COUNT), B::values(index % B::COUNT)].concat()
    }
}

/// An enum as a label: its name on the metric, and the text of each value.
#[macro_export]
macro_rules! label {
    (
        $(#[$attribute:meta])*
        $vis:vis enum $name:ident, $label:literal {
            $($(#[$doc:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl $crate::metrics::Label for $name {
            const COUNT: usize = Self::ALL.len();

            fn names() -> Vec<&'static str> {
                vec![$label]
            }

            fn index(self) -> usize {
                self as usize
            }

            fn values(index: usize) -> Vec<std::borrow::Cow<'static, str>> {
                vec![Self::ALL.get(index).map_or("", |value| value.text()).into()]
            }
        }
    };
}
