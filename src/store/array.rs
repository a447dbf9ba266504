//! Arrays as parameters, laid out in one piece: made of datums, each element would be allocated and copied once more, which
//! is felt when many users are enrolled.

use pgrx::pg_sys::{self, BuiltinOid};

use super::value::{ByteaArray, IntegerArray, Raw, SmallintArray, TextArray, UuidArray};
use crate::pg::call::varlena_size;

/// Size, number of dimensions, offset of the data where there are NULLs, type; and of the only dimension length and lower
/// bound. The elements follow at once, aligned as it takes.
const HEADER: usize = 6 * size_of::<i32>();
/// An array without elements has no dimension.
const EMPTY: usize = 4 * size_of::<i32>();

/// A text array.
pub fn texts<'a>(values: impl Iterator<Item = &'a [u8]>) -> Raw<TextArray> {
    array(BuiltinOid::TEXTOID, values, push_varlena)
}

/// A bytea array.
pub fn byteas<'a>(values: impl Iterator<Item = &'a [u8]>) -> Raw<ByteaArray> {
    array(BuiltinOid::BYTEAOID, values, push_varlena)
}

/// A uuid array.
pub fn uuids<'a>(values: impl Iterator<Item = &'a uuid::Uuid>) -> Raw<UuidArray> {
    array(BuiltinOid::UUIDOID, values, |bytes, id| bytes.extend_from_slice(id.as_bytes()))
}

/// An integer array.
pub fn int4s(values: impl Iterator<Item = i32>) -> Raw<IntegerArray> {
    array(BuiltinOid::INT4OID, values, |bytes, value| bytes.extend_from_slice(&value.to_ne_bytes()))
}

/// A smallint array.
pub fn int2s(values: impl Iterator<Item = i16>) -> Raw<SmallintArray> {
    array(BuiltinOid::INT2OID, values, |bytes, value| bytes.extend_from_slice(&value.to_ne_bytes()))
}

fn array<T, A>(element: BuiltinOid, values: impl Iterator<Item = T>, push: impl Fn(&mut Vec<u8>, T)) -> Raw<A> {
    let mut bytes = vec![0; HEADER];
    let mut length = 0i32;
    for value in values {
        push(&mut bytes, value);
        length += 1;
    }
    bytes.truncate(if length == 0 { EMPTY } else { bytes.len() });
    let dimensions = i32::from(length > 0);
    let fields = [varlena_size(bytes.len()), dimensions, 0, element.value().to_u32() as i32, length, 1];
    for (field, value) in bytes.chunks_exact_mut(size_of::<i32>()).zip(fields) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    // SAFETY: as many bytes are copied as there is room for; palloc aligns them for any type.
    unsafe {
        let copy = pg_sys::palloc(bytes.len()).cast::<u8>();
        copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        Raw::new(copy.into())
    }
}

fn push_varlena(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(&varlena_size(pg_sys::VARHDRSZ + value.len()).to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(size_of::<i32>()), 0);
}
