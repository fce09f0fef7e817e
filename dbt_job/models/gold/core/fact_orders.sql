{{ config(
    materialized='incremental', incremental_strategy='insert_overwrite', on_schema_change='fail',
    partition_by={'field': 'order_date', 'data_type': 'date'}, cluster_by=['contact_key', 'channel'], post_hook="{{ applied() }}") }}
{#- An order's row depends on more than the order: on its contact and that contact's other orders, on its lines where it has
    no amount of its own, on campaigns, on rates. Any date that one of them touches is replaced whole. -#}
{%- set affected %}
  with o as (select * from {{ ref('slv_orders_resolved') }}),
  -- orders that changed themselves, the deleted ones too, and those whose contact or amount another record changed
  touched as (
    select account_id, order_id from {{ ref('slv_crm__orders') }} where _cut > {{ applied_cut() }}
    union distinct
    select t.account_id, t.order_id
    from {{ this }} as t
    join o on o.account_id = t.account_id and o.order_id = t.order_id
    where t.contact_key != o.contact_key or t.contact_match != o.contact_match or t.order_type != o.order_type
      or coalesce(t.amount, 0) != coalesce(o.amount, 0) or coalesce(t.amount_source, '') != coalesce(o.amount_source, '')),
  had as (
    select t.account_id, t.order_id, t.contact_key, t.order_date
    from {{ this }} as t join touched as c on c.account_id = t.account_id and c.order_id = t.order_id),
  has as (
    select o.contact_key, o.order_date
    from o join touched as c on c.account_id = o.account_id and c.order_id = o.order_id),
  people as (
    select contact_key from had where contact_key != '-1'
    union distinct select contact_key from has where contact_key != '-1'),
  numbered as (
    select o.account_id, o.order_id, row_number() over (partition by o.contact_key order by o.order_at, o.order_id) as number
    from o join people as p on p.contact_key = o.contact_key
    where o.order_type = 'sale')
  select order_date as d from has
  -- where it stood before, and where only it stood
  union distinct select order_date from had
  -- a late or withdrawn order renumbers the contact's later ones
  union distinct
  select t.order_date from {{ this }} as t
  join numbered as n on n.account_id = t.account_id and n.order_id = t.order_id
  where t.contact_order_number is null or t.contact_order_number != n.number
  -- a campaign that came, went or became ambiguous re-points the orders that refer to it
  union distinct
  select t.order_date from {{ this }} as t
  join o on o.account_id = t.account_id and o.order_id = t.order_id
  left join {{ ref('slv_campaign_refs') }} as u on u.ref_kind = 'id' and u.ref_value = lower(o.utm_id)
  where o.utm_id is not null and (
    (u.campaign_id is not null) != (t.attribution_rule = 'order_utm_id')
    or t.campaign_key != {{ key_or_unknown('coalesce(u.campaign_id, o.campaign_id)', ['coalesce(u.campaign_id, o.campaign_id)']) }})
  union distinct {{ new_fx_dates() }}
{%- endset %}
{%- set dates = dates_of(affected) %}
/* replace_dates: {{ dates | tojson }} */
with orders as (
  select
    *,
    -- over all orders of the contacts found on the dates, never over the dates alone
    if(contact_key = '-1' or order_type != 'sale', null,
      row_number() over (partition by contact_key, order_type order by order_at, order_id)) as contact_order_number
  from {{ ref('slv_orders_resolved') }}
  {%- if is_incremental() %}
  where {{ only(dates, 'order_date') }}
    or contact_key in (
      select contact_key from {{ ref('slv_orders_resolved') }} where contact_key != '-1' and {{ only(dates, 'order_date') }})
  {%- endif %}
),
attributed as (
  select
    o.*,
    -- A rule fires only when its reference names exactly one campaign, else the next one is asked.
    coalesce(u.campaign_id, o.campaign_id) as attributed_campaign_id,
    case when u.campaign_id is not null then 'order_utm_id' when o.campaign_id is not null then 'crm_campaign_id' else 'none' end as attribution_rule,
    coalesce(m.channel, lower(o.channel)) as mapped_channel,
    {{ fx_rate('o.currency', 'f') }} as fx_rate,
    {{ fx_rate_date('o.currency', 'o.order_date', 'f') }} as fx_rate_date,
    o.amount - coalesce(o.refund, 0) as net
  from orders as o
  left join {{ ref('slv_campaign_refs') }} as u on u.ref_kind = 'id' and u.ref_value = lower(o.utm_id)
  left join {{ ref('channel_map') }} as m on m.spelling = lower(o.channel)
  left join {{ ref('slv_fx_daily') }} as f on f.rate_day = o.order_date and f.currency = o.currency
  where {{ only(dates, 'o.order_date') }}
)
select
  {{ key(['account_id', 'order_id']) }} as order_key, account_id, order_id, contact_id,
  contact_key, contact_match,
  order_at, order_date, order_type, status,
  amount, amount_source, currency, fx_rate, fx_rate_date, {{ reporting('amount') }} as amount_reporting,
  tax, {{ reporting('tax') }} as tax_reporting,
  shipping, {{ reporting('shipping') }} as shipping_reporting,
  discount, {{ reporting('discount') }} as discount_reporting,
  refund, {{ reporting('refund') }} as refund_reporting,
  net, {{ reporting('net') }} as net_reporting,
  item_count,
  campaign_id as crm_campaign_id, channel,
  {{ key_or_unknown('channel', ['mapped_channel']) }} as channel_key,
  payment_method, is_repeat_flagged,
  {{ key_or_unknown('attributed_campaign_id', ['attributed_campaign_id']) }} as campaign_key,
  -- No web analytics is loaded yet: no id.
  '-1' as ga4_campaign_key,
  {{ key_or_unknown('campaign_id', ['campaign_id']) }} as crm_campaign_key,
  attribution_rule, contact_order_number, coalesce(contact_order_number > 1, false) as is_repeat,
  transaction_id, _slice_id,
  (select coalesce(max(build), 0) from {{ ref('slv_slices') }}) as _cut
from attributed
