#!/bin/busybox sh
# The guest's only program: exercises every NVMe controller, prints lines that begin with @, and powers off.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
sum() { md5sum | cut -c1-32; }
tries=0
want=$(sed 's/.*controllers=\([0-9]*\).*/\1/' /proc/cmdline)
while [ "$(ls /dev/nvme*n1 2>/dev/null | wc -l)" != "$want" ] && [ $tries -lt 50 ]; do sleep 0.2; tries=$((tries + 1)); done
/tools/lspci -vvv -d ::0108 2>/dev/null | sed 's/^/@lspci /'
for disk in /dev/nvme*n1; do
  name=${disk#/dev/}
  dd if=/dev/urandom of=/data bs=64k count=64 2>/dev/null
  dd if=/data of=$disk bs=64k oflag=direct 2>/dev/null
  echo "@raw $name $(sum </data) $(dd if=$disk bs=64k count=64 iflag=direct 2>/dev/null | sum)"
  /tools/mke2fs -q -F -t ext4 $disk && mount -t ext4 $disk /mnt && cp /data /mnt/data && umount /mnt
  mount -t ext4 $disk /mnt && echo "@files $name $(sum </data) $(sum </mnt/data)"
  for cpu in 0 1; do taskset $((cpu + 1)) dd if=/mnt/data of=/dev/null bs=4k iflag=direct 2>/dev/null; done
  umount /mnt
done
# 4-KiB reads at random places, one at a time, each a command of its own, then the same from the page cache
for disk in /dev/nvme*n1; do
  name=${disk#/dev/}
  echo 0 >/sys/block/$name/queue/read_ahead_kb
  echo 3 >/proc/sys/vm/drop_caches
  before=$(awk '{ print $1 }' /sys/block/$name/stat)
  times=$(/tools/perl /random-read.pl $disk)
  echo "@random $name $(($(awk '{ print $1 }' /sys/block/$name/stat) - before)) $times"
done
grep nvme /proc/interrupts | sed 's/^/@interrupts /'
for device in $(ls /sys/bus/pci/drivers/nvme | grep ^0000); do
  echo $device >/sys/bus/pci/drivers/nvme/unbind
  cat /sys/bus/pci/devices/$device/reset_method | sed "s/^/@reset $device /"
  echo 1 >/sys/bus/pci/devices/$device/reset
  echo $device >/sys/bus/pci/drivers/nvme/bind
done
tries=0
while [ "$(ls /dev/nvme*n1 2>/dev/null | wc -l)" != "$want" ] && [ $tries -lt 50 ]; do sleep 0.2; tries=$((tries + 1)); done
for disk in /dev/nvme*n1; do
  mount -t ext4 $disk /mnt && echo "@again ${disk#/dev/} $(wc -c </mnt/data)" && umount /mnt
done
dmesg | grep -iE 'nvme|timeout|polled|i/o error' | sed 's/^/@dmesg /'
echo @end
poweroff -f
