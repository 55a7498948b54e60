# Reads different blocks of 4 KiB of a disk of 64 MiB in a random order that is always the same, then the same again from the
# page cache, and prints how many there were and the hundredths of a second that each of the two took.
sub uptime { open my $file, '<', '/proc/uptime' or die; return int(100 * (split ' ', <$file>)[0] + 0.5) }

my $reads = 2048;
print $reads;
open my $disk, '<:raw', $ARGV[0] or die "$ARGV[0]: $!"; # kept open: the last to close a disk empties its page cache
for (1 .. 2) {
  my ($block, $from) = (1, uptime());
  for (1 .. $reads) {
    $block = (5 * $block + 12345) % 16384; # every block comes once before any comes again
    sysseek($disk, 4096 * $block, 0) or die;
    sysread($disk, my $buffer, 4096) == 4096 or die;
  }
  print ' ', uptime() - $from;
}
