# shards as the tasks of a Slurm job array, on a single-node cluster that is started here: the same bytes as one process
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
for p in slurmctld slurmd sbatch scontrol; do
    command -v $p > /dev/null || test -x /usr/sbin/$p || skip "$p is not installed (Debian: slurmctld slurmd slurm-client)"
done
test "$(id -u)" = 0 || skip "slurmd must be started by root"
test -e "$(find /usr/lib -name auth_none.so -path '*slurm*' 2>/dev/null | head -n 1)" || skip "this Slurm has no auth/none"
PATH=$PATH:/usr/sbin
here=$PWD node=$(hostname -s)
mkdir state spool
cat > slurm.conf <<END
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmctldPidFile=$here/ctld.pid
SlurmdPidFile=$here/d.pid
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldLogFile=$here/ctld.log
SlurmdLogFile=$here/d.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
END
SLURM_CONF=$here/slurm.conf
export SLURM_CONF
end() {
    for f in d.pid ctld.pid; do test ! -s $f || kill "$(cat $f)" 2>/dev/null || true; done
    sleep 2
}
trap end EXIT
slurmctld -f "$SLURM_CONF" 2> ctld.err || skip "slurmctld does not start: $(tail -n 1 ctld.err)"
slurmd -f "$SLURM_CONF" 2> d.err || skip "slurmd does not start: $(tail -n 1 d.err)"
tries=0
until sinfo -h -o %t 2>/dev/null | grep -qE 'idle|mix'; do
    tries=$((tries + 1))
    test $tries -lt 40 || skip "the node of the test's cluster does not come up: $(sinfo -h -o '%t %E' 2>&1 | head -n 1)"
    sleep 1
done
n=${SHARDS:-16} each=${EACH:-2000}
for i in $(seq 0 $((n - 1))); do make-contributions --dim 32 --first $((i * each)) --count $each > s$i.tsr; done
tessera-merge s?.tsr s??.tsr > whole.tsr
"$TESSERA_ROOT/scripts/merge-shards.sh" slurm slurm.tsr s?.tsr s??.tsr
same slurm.tsr whole.tsr
head -c 5000 s2.tsr > torn.tsr
status_of "$TESSERA_ROOT/scripts/merge-shards.sh" slurm bad.tsr s0.tsr torn.tsr s1.tsr 2> err
test $status != 0 && test ! -e bad.tsr || not_ok "a shard that is torn goes unnoticed"
