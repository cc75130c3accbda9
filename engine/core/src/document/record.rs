//! The macros by which a part of the language is written once.

/// A struct whose fields are keys, with its decoder and its JSON Schema; the doc comments are what an editor shows.
///
/// Each field is `required`, `optional` (an `Option`), `default` (with `= value`) or `flatten` (another record's keys among these), its
/// key its own name unless `as "key"` follows. `short key` lets a lone scalar stand for the map with that key, `verify f` calls
/// `f(&record, &node, &mut decoder)` at the end.
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($derive:ident)])?
        pub struct $name:ident: $what:literal $(, short $short:ident)? $(, verify $verify:path)? {
            $($(#[doc = $field_doc:literal])* $mode:ident $field:ident $(as $key:literal)?: $type:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, $($derive,)? serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $crate::document::record::field_type!($mode $type),)*
        }

        impl $crate::document::decode::Record for $name {
            const WHAT: &'static str = $what;

            fn take(
                fields: &mut $crate::document::decode::Fields<'_>,
                decoder: &mut $crate::document::decode::Decoder,
            ) -> Option<Self> {
                $(let $field = $crate::document::record::take_field!(
                    fields, decoder, $what, $mode, $crate::document::record::key!($field $($key)?), $type $(, $default)?
                );)*
                Some(Self { $($field: $crate::document::record::settle_field!($mode $field)),* })
            }

            fn describe(
                properties: &mut $crate::document::decode::Properties,
                generator: &mut schemars::SchemaGenerator,
            ) {
                $($crate::document::record::describe_field!(
                    properties, generator, $mode, $crate::document::record::key!($field $($key)?), $type, concat!($($field_doc, "\n",)* "")
                );)*
            }
        }

        impl $crate::document::decode::Decode for $name {
            fn decode(
                node: &$crate::document::node::Node,
                decoder: &mut $crate::document::decode::Decoder,
            ) -> Option<Self> {
                let short = $crate::document::record::short!($($short)?);
                $crate::document::decode::decode_record(node, short, $crate::document::record::verify!($($verify)?), decoder)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = $crate::document::decode::Properties::default();
                <Self as $crate::document::decode::Record>::describe(&mut properties, generator);
                let long = properties.into_schema(concat!($($doc, "\n",)* ""));
                $crate::document::record::with_short!(long $($short)?)
            }
        }
    };
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! short {
    () => {
        None
    };
    ($short:ident) => {
        Some(stringify!($short))
    };
}

macro_rules! with_short {
    ($long:ident) => {
        $long
    };
    ($long:ident $short:ident) => {
        $crate::document::schema::or_short_form($long, stringify!($short))
    };
}

macro_rules! verify {
    () => {
        |_, _, _| {}
    };
    ($verify:path) => {
        $verify
    };
}

macro_rules! field_type {
    (optional $type:ty) => { Option<$type> };
    ($mode:ident $type:ty) => { $type };
}

macro_rules! take_field {
    ($fields:ident, $decoder:ident, $what:literal, required, $key:expr, $type:ty) => {
        $fields.required::<$type>($key, $what, $decoder)
    };
    ($fields:ident, $decoder:ident, $what:literal, optional, $key:expr, $type:ty) => {
        $fields.optional::<$type>($key, $decoder)
    };
    ($fields:ident, $decoder:ident, $what:literal, default, $key:expr, $type:ty, $default:expr) => {
        $fields.optional::<$type>($key, $decoder).unwrap_or_else(|| $default)
    };
    ($fields:ident, $decoder:ident, $what:literal, flatten, $key:expr, $type:ty) => {
        <$type as $crate::document::decode::Record>::take($fields, $decoder)
    };
}

macro_rules! settle_field {
    (required $field:ident) => {
        $field?
    };
    (flatten $field:ident) => {
        $field?
    };
    ($mode:ident $field:ident) => {
        $field
    };
}

macro_rules! describe_field {
    ($properties:ident, $generator:ident, required, $key:expr, $type:ty, $doc:expr) => {
        $properties.add::<$type>($key, $doc, true, $generator)
    };
    ($properties:ident, $generator:ident, flatten, $key:expr, $type:ty, $doc:expr) => {
        <$type as $crate::document::decode::Record>::describe($properties, $generator)
    };
    ($properties:ident, $generator:ident, $mode:ident, $key:expr, $type:ty, $doc:expr) => {
        $properties.add::<$type>($key, $doc, false, $generator)
    };
}

/// An enum of words, with its decoder and its JSON Schema.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident: $what:literal {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $variant_doc])* #[serde(rename = $word)] $variant),*
        }

        impl $name {
            /// All words, in the order of the language page.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word as authors write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl $crate::document::decode::Decode for $name {
            fn decode(
                node: &$crate::document::node::Node,
                decoder: &mut $crate::document::decode::Decoder,
            ) -> Option<Self> {
                let word = $crate::document::decode::word(node, $what, decoder)?;
                match &*word.text {
                    $($word => Some(Self::$variant),)*
                    other => {
                        let message = format!("`{}` is not {}", $crate::document::node::crop(other), $what);
                        decoder.unknown("invalid-value", node.span, message, other, Self::WORDS);
                        None
                    }
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($word),*]})
            }
        }
    };
}

pub(crate) use {
    describe_field, field_type, key, record, settle_field, short, take_field, verify, with_short, words,
};
