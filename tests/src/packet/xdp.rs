//! An XDP program that is not Shunt's.

/// An object file for `ip link set dev NAME xdp obj FILE sec xdp`: a program that leaves every frame to the kernel.
#[must_use]
pub fn passing() -> Vec<u8> {
    // RFC 9669: `r0 = 2` (XDP_PASS of linux/bpf.h), `exit`.
    const CODE: [u8; 16] = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    const NAMES: &[u8] = b"\0xdp\0pass\0.symtab\0.strtab\0";
    // Where each begins in them.
    let [xdp, pass, symtab, strtab] = [1, 5, 10, 18];
    // ELF-64 object file format: header, sections, and their headers at the end.
    const HEADER: u64 = 64;
    let (code, names) = (CODE.len() as u64, NAMES.len() as u64);
    // The first symbol is none; the other is a global function in section 1.
    let mut symbols = vec![0; 24];
    symbols.extend(u32::to_le_bytes(pass));
    symbols.extend([0x12, 0, 1, 0]);
    symbols.extend([0, code].map(u64::to_le_bytes).concat());
    let size = symbols.len() as u64;

    let section =
        |name: u32, kind: u32, flags: u64, [offset, size]: [u64; 2], of_symbols: [u32; 2], entry: u64| {
            let mut header = [name, kind].map(u32::to_le_bytes).concat();
            header.extend([flags, 0, offset, size].map(u64::to_le_bytes).concat());
            header.extend(of_symbols.map(u32::to_le_bytes).concat());
            header.extend([8, entry].map(u64::to_le_bytes).concat());
            header
        };
    let sections = [
        section(0, 0, 0, [0, 0], [0, 0], 0),
        // Program bits, that are allocated and executable.
        section(xdp, 1, 6, [HEADER, code], [0, 0], 0),
        // Symbols, named by section 3, of which the first global one is number 1.
        section(symtab, 2, 0, [HEADER + code, size], [3, 1], 24),
        section(strtab, 3, 0, [HEADER + code + size, names], [0, 0], 0),
    ];

    let mut file = b"\x7fELF".to_vec();
    // 64 bits, little-endian, version 1.
    file.extend([2, 1, 1]);
    file.resize(16, 0);
    // Relocatable, for BPF, version 1; no entry and no segments.
    file.extend([1_u16, 247].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    file.extend([0, 0, HEADER + code + size + names].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 0, 0, 64, 4, 3].map(u16::to_le_bytes).concat());
    file.extend([&CODE[..], &symbols, NAMES, &sections.concat()].concat());
    file
}
