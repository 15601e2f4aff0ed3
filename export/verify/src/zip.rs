//! A ZIP file whose files lie in it as they are (APPNOTE 6.3.10, method 0), one after the other, every byte
//! accounted for: nothing in it can be packed, hidden between files, or named twice.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Most files in one.
const FILES: u64 = 1_000_000;
/// Longest directory, in bytes.
const DIRECTORY_BYTES: u64 = 256 << 20;

/// Where a file lies.
pub struct Member {
    pub name: String,
    pub at: u64,
    pub length: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?).into())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into())
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn read(file: &mut File, at: u64, length: u64) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at)).map_err(|_| "it cannot be read")?;
    file.take(length).read_to_end(&mut bytes).map_err(|_| "it cannot be read")?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err("it ends too early") }
}

/// Its files in the order in which they lie.
pub fn members(file: &mut File) -> Result<Vec<Member>, &'static str> {
    const END: &str = "its end is not that of a ZIP file";
    let total = file.seek(SeekFrom::End(0)).map_err(|_| "it cannot be read")?;
    let end_at = total.checked_sub(22).ok_or(END)?;
    let end = read(file, end_at, 22)?;
    if !end.starts_with(b"PK\x05\x06") || u32_at(&end, 4) != Some(0) || u16_at(&end, 20) != Some(0) {
        return Err(END);
    }
    let short = || Some((u16_at(&end, 10)?, u32_at(&end, 12)?, u32_at(&end, 16)?));
    let (mut count, mut length, mut at) = short().ok_or(END)?;
    let mut behind = end_at;
    let large =
        end_at.checked_sub(20).map(|at| read(file, at, 20)).transpose()?.filter(|b| b.starts_with(b"PK\x06\x07"));
    if let Some(locator) = large {
        behind = u64_at(&locator, 8).ok_or(END)?;
        let wide = read(file, behind, 56)?;
        if !wide.starts_with(b"PK\x06\x06") || behind.checked_add(56 + 20) != Some(end_at) {
            return Err(END);
        }
        let long = || Some((u64_at(&wide, 32)?, u64_at(&wide, 40)?, u64_at(&wide, 48)?));
        (count, length, at) = long().ok_or(END)?;
    }
    if at.checked_add(length) != Some(behind) || count > FILES || length > DIRECTORY_BYTES {
        return Err("its directory is not where it should be");
    }
    let directory = read(file, at, length)?;
    let mut members = Vec::new();
    let mut rest = &directory[..];
    let mut next = 0;
    for _ in 0..count {
        let (member, taken) = member(file, rest, next).ok_or("its directory cannot be read")??;
        next = member.at + member.length;
        members.push(member);
        rest = rest.get(taken..).ok_or("its directory cannot be read")?;
    }
    if !rest.is_empty() || next != at {
        return Err("there are bytes in it that belong to no file");
    }
    let mut names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("two files in it have one name");
    }
    Ok(members)
}

/// One file: its record in the directory and the one before its bytes, which must agree.
fn member(file: &mut File, record: &[u8], begin: u64) -> Option<Result<(Member, usize), &'static str>> {
    if !record.starts_with(b"PK\x01\x02") {
        return None;
    }
    let (flags, method) = (u16_at(record, 8)?, u16_at(record, 10)?);
    let (mut packed, mut length) = (u32_at(record, 20)?, u32_at(record, 24)?);
    let (name_length, extra_length, comment) =
        (u16_at(record, 28)? as usize, u16_at(record, 30)? as usize, u16_at(record, 32)? as usize);
    let mut at = u32_at(record, 42)?;
    let name = record.get(46..46 + name_length)?;
    let mut extra = record.get(46 + name_length..46 + name_length + extra_length)?;
    while !extra.is_empty() {
        let (kind, size) = (u16_at(extra, 0)?, u16_at(extra, 2)? as usize);
        let mut own = extra.get(4..4 + size)?;
        if kind == 1 {
            for value in [&mut length, &mut packed, &mut at] {
                if *value == u64::from(u32::MAX) {
                    *value = u64_at(own, 0)?;
                    own = own.get(8..)?;
                }
            }
        }
        extra = extra.get(4 + size..)?;
    }
    let own_name = String::from_utf8(name.to_vec()).ok()?;
    // Bit 11 says that names are UTF-8; no other is of use to files that are neither packed nor encrypted.
    if method != 0 || flags & !0x0800 != 0 || packed != length || comment != 0 {
        return Some(Err(
            "a file in it is packed, encrypted or commented: the archive of a bundle holds them as they are",
        ));
    }
    if at != begin || own_name.split('/').any(|part| matches!(part, "" | "." | "..")) || own_name.contains('\\') {
        return Some(Err("a file in it lies or is named where none should be"));
    }
    let local = match read(file, at, 30) {
        Ok(local) => local,
        Err(why) => return Some(Err(why)),
    };
    let local_name = u16_at(&local, 26)?;
    let same = local.starts_with(b"PK\x03\x04")
        && u16_at(&local, 8) == Some(0)
        && local_name == name_length as u64
        && read(file, at.checked_add(30)?, local_name).is_ok_and(|found| found == name);
    if !same {
        return Some(Err("a file in it has two names"));
    }
    let data = at.checked_add(30)?.checked_add(local_name)?.checked_add(u16_at(&local, 28)?)?;
    data.checked_add(length)?;
    Some(Ok((Member { name: own_name, at: data, length }, 46 + name_length + extra_length)))
}
