#!/bin/busybox sh
# The first process of the guest, and its only one besides what a test has it run. When it ends, so does the guest.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
# DPDK loads no driver from below a directory that anybody may write to, as the first one of a kernel is.
chmod 755 /
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run

for module in /modules/*; do
    insmod "$module"
done
# What is to be DPDK's, by PCI address, and the driver of the kernel that hands it over. Debian 13 has virtio-pci built in, which is faster.
while read -r device driver; do
    folder=/sys/bus/pci/devices/$device
    [ ! -e "$folder/driver" ] || echo "$device" >"$folder/driver/unbind"
    echo "$driver" >"$folder/driver_override"
    echo "$device" >/sys/bus/pci/drivers_probe
done </etc/devices

# Bytes as they are, no echo.
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
echo "@0 0 0 0" >&3
while read -r number command <&3; do
    sh -c "$command" >/run/stdout 2>/run/stderr </dev/null 3>&-
    echo "@$number $? $(wc -c </run/stdout) $(wc -c </run/stderr)" >&3
    cat /run/stdout /run/stderr >&3
done
