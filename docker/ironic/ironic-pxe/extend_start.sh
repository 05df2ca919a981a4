#!/bin/bash
# Sourced by ironic-base's part of the start, as root. KOLLA_BOOTSTRAP, set even
# to nothing, asks for the boot programs in the directories that are served; the
# container then exits.

# EFI's names of the architectures whose shim and GRUB are here.
efi_archs=(x64 aa64)

case ${KOLLA_BASE_DISTRO} in
    debian | ubuntu)
        pxelinux=(/usr/lib/PXELINUX/pxelinux.0 /usr/lib/syslinux/modules/bios/{chain,ldlinux}.c32)
        shim() { echo "/usr/lib/shim/shim$1.efi.signed"; }
        grub() { echo /usr/lib/grub/*-efi-signed/"grubnet$1.efi.signed"; }
        ;;
    rocky)
        pxelinux=(/tftpboot/{pxelinux.0,chain.c32,ldlinux.c32})
        shim() { echo "/boot/efi/EFI/rocky/shim$1.efi"; }
        grub() { echo "/boot/efi/EFI/rocky/grub$1.efi"; }
        ;;
esac

# The architecture that an EFI program is for: its header, which byte 60 points to, has the machine's number.
machine_of() {
    local header
    header=$(od -An -t u4 -j 60 -N 4 "$1")
    case $(od -An -t x2 -j $((header + 4)) -N 2 "$1") in
        ' 8664') echo x86_64 ;;
        ' aa64') echo aarch64 ;;
        *) echo 'no machine that EFI knows' ;;
    esac
}

# serve_ipxe ARCH FILE NAME...: under each of the names, by TFTP and, for nodes whose firmware knows HTTP, by that.
serve_ipxe() {
    local arch=$1 program=$2 machine name
    machine=$(machine_of "${program}")
    if [[ ${machine} != "${arch}" ]]; then
        echo "ironic-pxe: ${program} is a program for ${machine}, and would be served to nodes of ${arch}" >&2
        exit 1
    fi
    for name in "${@:3}"; do
        install -m 644 "${program}" "${TFTPBOOT_PATH}/${name}"
        install -m 644 "${program}" "${HTTPBOOT_PATH}/${name}"
    done
}

# Ironic asks for undionly.kpxe and snponly.efi, and for those of an architecture when it is told to: kolla-ansible
# names ipxe-arm64.efi on Debian and Ubuntu, ipxe-snponly-aarch64.efi on Rocky. An ipxe-snponly-aarch64.efi that was
# added to Debian's is served instead of Debian's, whatever it is asked for as.
serve_all_ipxe() {
    local directory program aarch64=()
    case ${KOLLA_BASE_DISTRO} in
        debian | ubuntu)
            directory=/usr/lib/ipxe
            serve_ipxe x86_64 "${directory}/snponly.efi" snponly.efi ipxe-snponly-x86_64.efi
            serve_ipxe x86_64 "${directory}/ipxe.efi" ipxe.efi ipxe-amd64.efi
            # Ubuntu leaves the one for arm64 beside the kernels.
            aarch64=("${directory}/ipxe-snponly-aarch64.efi" "${directory}/ipxe-arm64.efi" /boot/ipxe-arm64.efi)
            ;;
        rocky)
            directory=/usr/share/ipxe
            serve_ipxe x86_64 "${directory}/ipxe-snponly-x86_64.efi" ipxe-snponly-x86_64.efi
            if [[ ${KOLLA_BASE_ARCH} == x86_64 ]]; then
                serve_ipxe x86_64 "${directory}/ipxe-snponly-x86_64.efi" snponly.efi
            else
                serve_ipxe aarch64 "${directory}/arm64-efi/snponly.efi" snponly.efi
            fi
            aarch64=("${directory}/arm64-efi/snponly.efi")
            ;;
    esac
    cp "${directory}/undionly.kpxe" "${TFTPBOOT_PATH}/"
    for program in "${aarch64[@]}"; do
        if [[ -e ${program} ]]; then
            serve_ipxe aarch64 "${program}" ipxe-snponly-aarch64.efi ipxe-arm64.efi
            break
        fi
    done
}

# serve_grub ARCH: shim, by the name that firmware starts, and the GRUB that it starts.
serve_grub() {
    local directory
    for directory in "${TFTPBOOT_PATH}" "${HTTPBOOT_PATH}"; do
        install -m 644 "$(shim "$1")" "${directory}/boot$1.efi"
        install -m 644 "$(grub "$1")" "${directory}/grub$1.efi"
    done
}

# An EFI system partition of 8 MiB, for nodes that boot virtual media.
make_esp() {
    local esp=${HTTPBOOT_PATH}/esp.img arch
    rm -f "${esp}"
    truncate -s 8M "${esp}"
    mkfs.msdos -F 12 -n ESP_IMAGE "${esp}"
    mmd -i "${esp}" EFI EFI/BOOT
    for arch in "$@"; do
        mcopy -i "${esp}" "$(shim "${arch}")" "::EFI/BOOT/boot${arch}.efi"
        mcopy -i "${esp}" "$(grub "${arch}")" "::EFI/BOOT/grub${arch}.efi"
    done
}

if [[ -v KOLLA_BOOTSTRAP ]]; then
    install -d -o ironic -g ironic "${TFTPBOOT_PATH}" "${HTTPBOOT_PATH}"
    # Rocky's package puts them where they are served by default.
    if [[ $(dirname "${pxelinux[0]}") != "${TFTPBOOT_PATH}" ]]; then
        cp "${pxelinux[@]}" "${TFTPBOOT_PATH}/"
    fi
    there=()
    for efi_arch in "${efi_archs[@]}"; do
        if [[ -e $(shim "${efi_arch}") ]]; then
            serve_grub "${efi_arch}"
            there+=("${efi_arch}")
        fi
    done
    serve_all_ipxe
    make_esp "${there[@]}"
    exit 0
fi

# in.tftpd is told to serve every name from the one directory.
map=$(cat /map-file-template)
echo "${map//\$\{TFTPBOOT_PATH\}/${TFTPBOOT_PATH}}" >/map-file
