-- A file of whole days (mode dates) is everything of those days: it supersedes every older one whose days it covers, whole.
-- Files of other modes are never superseded: their records compete one by one.
select
  older.stream, older.account_id, older.slice_id, older.build,
  newer.slice_id as by_slice_id, newer.build as by_build, newer.file_at as by_file_at,
  -- a file with a row set aside may have named the record that it seems to lack
  newer.aside_count = 0 and bad.slice_id is null as by_is_complete
from {{ ref('slv_slices') }} as older
join {{ ref('slv_slices') }} as newer
  on newer.stream = older.stream and newer.account_id = older.account_id
  and newer.window_from <= older.window_from and newer.window_to >= older.window_to
left join (select distinct slice_id from {{ ref('slv_set_aside') }}) as bad on bad.slice_id = newer.slice_id
where older.mode = 'dates' and newer.mode = 'dates' and older.file_name is not null and newer.file_name is not null
  and (newer.file_at > older.file_at or (newer.file_at = older.file_at and newer.slice_id > older.slice_id))
