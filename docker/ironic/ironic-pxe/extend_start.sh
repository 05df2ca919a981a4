#!/bin/bash
# Sourced by ironic-base's part of the start, as root. KOLLA_BOOTSTRAP, set even
# to nothing, asks for the boot programs in the directories that are served; the
# container then exits.

case ${KOLLA_BASE_ARCH} in
    x86_64) efi_arch=x64 ;;
    aarch64) efi_arch=aa64 ;;
esac

case ${KOLLA_BASE_DISTRO} in
    debian | ubuntu)
        pxelinux=(/usr/lib/PXELINUX/pxelinux.0 /usr/lib/syslinux/modules/bios/{chain,ldlinux}.c32)
        shim=(/usr/lib/shim/shim*64.efi.signed)
        grub=(/usr/lib/grub/*-efi-signed/grubnet*64.efi.signed)
        ;;
    rocky)
        pxelinux=(/tftpboot/{pxelinux.0,chain.c32,ldlinux.c32})
        shim=(/boot/efi/EFI/rocky/shim"${efi_arch}".efi)
        grub=(/boot/efi/EFI/rocky/grub"${efi_arch}".efi)
        ;;
esac

# Ironic asks for snponly.efi, and for ipxe-snponly-aarch64.efi when it is told to.
copy_ipxe() {
    case ${KOLLA_BASE_DISTRO} in
        debian | ubuntu)
            cp /usr/lib/ipxe/{undionly.kpxe,ipxe*.efi,snponly.efi} "${TFTPBOOT_PATH}/"
            # The package leaves the one for arm64 beside the kernels.
            if [[ -e /boot/ipxe-arm64.efi ]]; then
                cp /boot/ipxe-arm64.efi "${TFTPBOOT_PATH}/"
            fi
            ;;
        rocky)
            cp /usr/share/ipxe/{undionly.kpxe,ipxe-snponly-x86_64.efi} "${TFTPBOOT_PATH}/"
            cp /usr/share/ipxe/arm64-efi/snponly.efi "${TFTPBOOT_PATH}/ipxe-snponly-aarch64.efi"
            ln -sf "ipxe-snponly-${KOLLA_BASE_ARCH}.efi" "${TFTPBOOT_PATH}/snponly.efi"
            ;;
    esac
}

# An EFI system partition of 8 MiB, for nodes that boot virtual media.
make_esp() {
    local esp=${HTTPBOOT_PATH}/esp.img
    rm -f "${esp}"
    truncate -s 8M "${esp}"
    mkfs.msdos -F 12 -n ESP_IMAGE "${esp}"
    mmd -i "${esp}" EFI EFI/BOOT
    mcopy -i "${esp}" "${shim[0]}" "::EFI/BOOT/boot${efi_arch}.efi"
    mcopy -i "${esp}" "${grub[0]}" "::EFI/BOOT/grub${efi_arch}.efi"
}

if [[ -v KOLLA_BOOTSTRAP ]]; then
    install -d -o ironic -g ironic "${TFTPBOOT_PATH}" "${HTTPBOOT_PATH}"
    # Rocky's package puts them where they are served by default.
    if [[ $(dirname "${pxelinux[0]}") != "${TFTPBOOT_PATH}" ]]; then
        cp "${pxelinux[@]}" "${TFTPBOOT_PATH}/"
    fi
    cp "${shim[0]}" "${TFTPBOOT_PATH}/boot${efi_arch}.efi"
    cp "${grub[0]}" "${TFTPBOOT_PATH}/grub${efi_arch}.efi"
    copy_ipxe
    make_esp
    exit 0
fi

# in.tftpd is told to serve every name from the one directory.
map=$(cat /map-file-template)
echo "${map//\$\{TFTPBOOT_PATH\}/${TFTPBOOT_PATH}}" >/map-file
