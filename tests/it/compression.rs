//! Pingora's gzip works on the zlib that `.cargo/libz-ng-sys` puts in the place of zlib-ng.

use pingora::protocols::http::compression::Algorithm;

/// `pieces` through Pingora's compressor or decompressor.
fn gzip(compress: bool, pieces: &[&[u8]]) -> Vec<u8> {
    let coder = if compress { Algorithm::Gzip.compressor(6) } else { Algorithm::Gzip.decompressor(true) };
    let mut coder = coder.unwrap();
    let last = pieces.len() - 1;
    pieces.iter().enumerate().flat_map(|(at, piece)| coder.encode(piece, at == last).unwrap()).collect()
}

#[test]
fn what_is_compressed_piece_by_piece_comes_back() {
    let lines: Vec<String> = (0..20_000).map(|number| format!("line {number} of a long answer")).collect();
    let text = lines.join("\n");
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(7_001).collect();
    let small = gzip(true, &pieces);
    assert_eq!(small[..3], [0x1f, 0x8b, 8], "gzip's magic number and method");
    assert!(small.len() < text.len() / 4, "{} of {} bytes", small.len(), text.len());
    let pieces: Vec<&[u8]> = small.chunks(1_009).collect();
    assert_eq!(gzip(false, &pieces), text.as_bytes());
}

#[test]
fn a_stream_of_another_program_is_read() {
    // printf hello | gzip -n
    let other = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 203, 72, 205, 201, 201, 7, 0, 134, 166, 16, 54, 5, 0, 0, 0];
    assert_eq!(gzip(false, &[&other]), b"hello");
}
