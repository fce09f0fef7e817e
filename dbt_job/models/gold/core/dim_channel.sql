-- The map's channels, and every word that only the data knows under its own name.
with known as (
  select distinct channel, channel_name, channel_group, is_paid, false as is_inferred from {{ ref('channel_map') }}
),
said as (
  select lower(channel) as spelling from {{ ref('slv_crm__orders') }} where channel is not null and not is_deleted
  union distinct select lower(channel) from {{ ref('slv_crm__campaigns') }} where channel is not null
),
inferred as (
  select spelling as channel, spelling as channel_name, '(unmapped)' as channel_group, cast(null as bool) as is_paid, true as is_inferred
  from said
  where spelling not in (select spelling from {{ ref('channel_map') }}) and spelling not in (select channel from {{ ref('channel_map') }})
)
select {{ key(['channel']) }} as channel_key, channel, channel_name, channel_group, is_paid, is_inferred
from (select * from known union all select * from inferred)
union all select '-1', '(unknown)', '(unknown)', '(unknown)', null, false
union all select '-2', '(not applicable)', '(not applicable)', '(not applicable)', null, false
