{{ config(materialized='table') }}
-- What names two campaigns names none: an attribution rule fires only on exactly one.
with named as (
  select 'id' as ref_kind, lower(campaign_id) as ref_value, campaign_id from {{ ref('slv_crm__campaigns') }}
  union all
  select 'name' as ref_kind, lower(campaign_name) as ref_value, campaign_id from {{ ref('slv_crm__campaigns') }}
  where campaign_name is not null
)
select ref_kind, ref_value, min(campaign_id) as campaign_id
from (select distinct ref_kind, ref_value, campaign_id from named)
group by ref_kind, ref_value
having count(*) = 1
